// What others may do: the workspace on itself, flows that are served, pipelines, and the people who operate it.

@description('The workspace\'s identity.')
param workspacePrincipalId string

@description('The identity of flows that are served on App Service; empty: none are.')
param servedPrincipalId string

@description('The identity of the pipelines that ask for chains. Who deploys the app and this is another one.')
param pipelinesPrincipalId string

@description('An Entra group that submits, watches and approves by the command line; empty: none.')
param operatorsGroupId string

param serviceBusName string
param requestsQueue string
param dataAccountName string
param machineLearningName string
param vaultName string
param imagesRegistryName string

@description('Azure OpenAI; empty: none.')
param openAiName string

var roles = loadJsonContent('../roles.json')

resource bus 'Microsoft.ServiceBus/namespaces@2022-10-01-preview' existing = {
  name: serviceBusName

  resource requests 'queues@2022-10-01-preview' existing = {
    name: requestsQueue
  }
}

resource data 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: dataAccountName

  resource blobs 'blobServices@2023-05-01' existing = {
    name: 'default'

    resource bundles 'containers@2023-05-01' existing = {
      name: 'bundles'
    }

    resource chains 'containers@2023-05-01' existing = {
      name: 'chains'
    }
  }
}

resource workspace 'Microsoft.MachineLearningServices/workspaces@2024-10-01' existing = {
  name: machineLearningName
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource images 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: imagesRegistryName
}

resource openAi 'Microsoft.CognitiveServices/accounts@2024-10-01' existing = if (!empty(openAiName)) {
  name: empty(openAiName) ? 'none' : openAiName
}

resource workspaceOnItself 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Contributor'
]: {
  name: guid(workspace.id, workspacePrincipalId, role)
  scope: workspace
  properties: {
    principalId: workspacePrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource servedOnImages 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (!empty(servedPrincipalId) ? [
  'AcrPull'
] : []): {
  name: guid(images.id, servedPrincipalId, role)
  scope: images
  properties: {
    principalId: servedPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource servedOnVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (!empty(servedPrincipalId) ? [
  'Key Vault Secrets User'
] : []): {
  name: guid(vault.id, servedPrincipalId, role)
  scope: vault
  properties: {
    principalId: servedPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource servedOnOpenAi 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in ((!empty(servedPrincipalId) && !empty(openAiName)) ? [
  'Cognitive Services OpenAI User'
] : []): {
  name: guid(openAi.id, servedPrincipalId, role)
  scope: openAi
  properties: {
    principalId: servedPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource pipelinesOnRequests 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Azure Service Bus Data Sender'
]: {
  name: guid(bus::requests.id, pipelinesPrincipalId, role)
  scope: bus::requests
  properties: {
    principalId: pipelinesPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource pipelinesOnBundles 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Storage Blob Data Contributor'
]: {
  name: guid(data::blobs::bundles.id, pipelinesPrincipalId, role)
  scope: data::blobs::bundles
  properties: {
    principalId: pipelinesPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource pipelinesOnChains 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Storage Blob Data Reader'
]: {
  name: guid(data::blobs::chains.id, pipelinesPrincipalId, role)
  scope: data::blobs::chains
  properties: {
    principalId: pipelinesPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource operatorsOnBus 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (!empty(operatorsGroupId) ? [
  'Azure Service Bus Data Sender'
] : []): {
  name: guid(bus.id, operatorsGroupId, role)
  scope: bus
  properties: {
    principalId: operatorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource operatorsOnData 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (!empty(operatorsGroupId) ? [
  'Storage Blob Data Contributor'
] : []): {
  name: guid(data.id, operatorsGroupId, role)
  scope: data
  properties: {
    principalId: operatorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource operatorsOnWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (!empty(operatorsGroupId) ? [
  'AzureML Data Scientist'
] : []): {
  name: guid(workspace.id, operatorsGroupId, role)
  scope: workspace
  properties: {
    principalId: operatorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]
