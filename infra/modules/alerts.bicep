// Who is told, and of what: the queries ask for what shared/telemetry/names.py names.

param names object
param location string
param tags object
param mails array
param insightsId string
param serviceBusId string

@description('Minutes that a chain may stay in one step before somebody is told. Approvals wait for an hour by default.')
@minValue(15)
param stuckAfterMinutes int

var queries = [
  {
    name: 'dead-letters'
    says: 'A message became a dead letter: see `dead-letters list`, then replay or discard it.'
    query: 'customMetrics | where name == "genaiops.dead_letters" | summarize number = sum(valueSum) by queue = tostring(customDimensions.queue)'
    column: 'number'
    over: 0
    minutes: 15
  }
  {
    name: 'stuck-chains'
    says: 'A chain stays in one step for longer than it should: see docs/how-to/find-a-stuck-chain.md.'
    query: 'customMetrics | where name == "genaiops.chains.oldest" | summarize seconds = max(valueMax) by step = tostring(customDimensions.step)'
    column: 'seconds'
    over: stuckAfterMinutes * 60
    minutes: 15
  }
  {
    name: 'failed-runs'
    says: 'Runs fail: see the reasons on the chains of the dashboard.'
    query: 'customMetrics | where name == "genaiops.runs" and customDimensions.outcome == "failed" | summarize number = sum(valueSum) by command = tostring(customDimensions.command)'
    column: 'number'
    over: 0
    minutes: 15
  }
  {
    name: 'unexpected-faults'
    says: 'A fault that nobody foresaw: see `exceptions` in Application Insights.'
    query: 'customMetrics | where name == "genaiops.failures" and customDimensions.family == "unexpected" | summarize number = sum(valueSum) by command = tostring(customDimensions.command)'
    column: 'number'
    over: 0
    minutes: 15
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: names.actionGroup
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'genaiops'
    emailReceivers: [for mail in mails: {
      name: mail
      emailAddress: mail
      useCommonAlertSchema: true
    }]
  }
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = [for rule in queries: {
  name: '${names.alerts}-${rule.name}'
  location: location
  tags: tags
  properties: {
    displayName: rule.name
    description: rule.says
    severity: 2
    enabled: true
    scopes: [
      insightsId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT${rule.minutes}M'
    criteria: {
      allOf: [
        {
          query: rule.query
          metricMeasureColumn: rule.column
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: rule.over
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    autoMitigate: true
    actions: {
      actionGroups: [
        people.id
      ]
    }
  }
}]

// The app takes dead letters off the queues at once. Where they stay, it does not run, and says nothing itself.
resource untaken 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${names.alerts}-untaken-dead-letters'
  location: 'global'
  tags: tags
  properties: {
    description: 'Dead letters stay on their queue: the app takes nothing. Its log begins with what is wrong.'
    severity: 1
    enabled: true
    scopes: [
      serviceBusId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'dead-letters'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          metricName: 'DeadletteredMessages'
          operator: 'GreaterThan'
          threshold: 0
          timeAggregation: 'Minimum'
        }
      ]
    }
    autoMitigate: true
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}

output actionGroupId string = people.id
