// For production: storage that survives the loss of a zone, everything reached through a virtual network alone.
// Fill in the addresses of your own; serviceBusAddresses are those from which Azure DevOps publishes, unless your agents
// do so from inside the network.
using '../main.bicep'

param environmentName = 'prod'
param storageSku = 'Standard_ZRS'
param serviceBusSku = 'Premium'
param containerRegistrySku = 'Premium'
param maximumInstances = 40
param softDeleteDays = 30
param retentionDays = 90
param telemetryGbPerDay = 10
param openAi = true
param openAiCapacity = 100
param communication = true
param machineLearningRegistry = true
param onlineEndpoints = true
param privateNetwork = true
param serviceBusAddresses = []
param stuckAfterMinutes = 180
param monthlyBudget = 2000
param budgetStart = '' // the month of the first deployment, YYYY-MM-01; no budget without it
param alertMails = ''
param azureDevOps = ''
