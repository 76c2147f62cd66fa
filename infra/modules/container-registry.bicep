// Images of Azure ML's environments, and of flows that are served elsewhere.

param name string
param location string
param tags object

@allowed([
  'Basic'
  'Standard'
  'Premium'
])
param sku string

@description('Whether only the virtual network and trusted services of Azure reach it. Premium only.')
param isPrivate bool

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: sku
  }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
    networkRuleBypassOptions: 'AzureServices'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

output id string = registry.id
output name string = registry.name
output loginServer string = registry.properties.loginServer
