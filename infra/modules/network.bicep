// A virtual network with a place for the app and a place for private endpoints, and the zones that name them.

param names object
param location string
param tags object

@description('Address ranges: of the network, and of its subnets functions (a /27 or larger) and endpoints.')
param addresses object

@description('Private DNS zones: one for each service that has private endpoints.')
param zones array

resource open 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${names.network}-functions'
  location: location
  tags: tags
}

resource closed 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${names.network}-endpoints'
  location: location
  tags: tags
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: names.network
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addresses.network
      ]
    }
    subnets: [
      {
        name: 'functions'
        properties: {
          addressPrefix: addresses.functions
          networkSecurityGroup: {
            id: open.id
          }
          // Flex Consumption runs in the environments of Container Apps.
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: addresses.endpoints
          networkSecurityGroup: {
            id: closed.id
          }
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = [for name in zones: {
  name: name
  location: 'global'
  tags: tags
}]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [for (name, index) in zones: {
  parent: zone[index]
  name: names.network
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}]

output functionsSubnetId string = '${network.id}/subnets/functions'
output endpointsSubnetId string = '${network.id}/subnets/endpoints'
