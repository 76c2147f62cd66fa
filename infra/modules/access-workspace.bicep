// What the workspace's identity may do on what the workspace is made of. These roles are given before the workspace is
// made: it does not come up without them, and Azure ML gives them to no identity but one that it made itself.

param principalId string
param linesAccountName string
param insightsName string
param vaultName string
param imagesRegistryName string

@description('Azure OpenAI; empty: none.')
param openAiName string

var roles = loadJsonContent('../roles.json')

resource lines 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: linesAccountName
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource images 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: imagesRegistryName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource openAi 'Microsoft.CognitiveServices/accounts@2024-10-01' existing = if (!empty(openAiName)) {
  name: empty(openAiName) ? 'none' : openAiName
}

resource onLines 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Contributor'
  'Storage Blob Data Contributor'
  'Storage File Data Privileged Contributor'
]: {
  name: guid(lines.id, principalId, role)
  scope: lines
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Contributor'
  'Key Vault Administrator'
]: {
  name: guid(vault.id, principalId, role)
  scope: vault
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onImages 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Contributor'
]: {
  name: guid(images.id, principalId, role)
  scope: images
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Contributor'
]: {
  name: guid(insights.id, principalId, role)
  scope: insights
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onOpenAi 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (!empty(openAiName) ? [
  'Cognitive Services OpenAI User'
] : []): {
  name: guid(openAi.id, principalId, role)
  scope: openAi
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]
