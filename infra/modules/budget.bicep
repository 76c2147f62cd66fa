// What the resource group may cost a month: mails at 80 % and 100 % of it, and where the forecast passes it.
// A budget tells, it stops nothing.

param name string

@minValue(1)
param amount int

@description('First day of a month, as YYYY-MM-01.')
param startDate string

param mails array
param actionGroupId string

var told = {
  contactEmails: mails
  contactGroups: [
    actionGroupId
  ]
}

resource budget 'Microsoft.Consumption/budgets@2023-11-01' = {
  name: name
  properties: {
    amount: amount
    category: 'Cost'
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: startDate
    }
    notifications: {
      most: union(told, {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 80
        thresholdType: 'Actual'
      })
      all: union(told, {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Actual'
      })
      foreseen: union(told, {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 110
        thresholdType: 'Forecasted'
      })
    }
  }
}
