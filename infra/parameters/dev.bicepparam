// For trying out: one zone, short memory, the smallest tiers.
using '../main.bicep'

param environmentName = 'dev'
param storageSku = 'Standard_LRS'
param serviceBusSku = 'Standard'
param containerRegistrySku = 'Basic'
param maximumInstances = 10
param softDeleteDays = 7
param retentionDays = 30
param telemetryGbPerDay = 2
param cellsInFlight = 4
param openAi = true
param openAiCapacity = 30
param onlineEndpoints = true
param stuckAfterMinutes = 360
param monthlyBudget = 300
param budgetStart = '' // the month of the first deployment, YYYY-MM-01; no budget without it
param alertMails = ''
param azureDevOps = ''
