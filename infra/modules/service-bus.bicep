// The namespace and its queues, with the properties that docs/reference/queues.md explains.

param name string
param location string
param tags object

@allowed([
  'Standard'
  'Premium'
])
param sku string

param queues array

@description('Queues whose messages are handled one at a time for each session.')
param sessionQueues array

@description('Deliveries of a message before it is dead-lettered.')
param maxDeliveryCount int

@description('Whether only the virtual network, trusted services of Azure and allowedAddresses reach it. Premium only.')
param isPrivate bool

@description('Addresses and ranges that reach it all the same: those of Azure DevOps, whose server tasks publish from outside.')
param allowedAddresses array

param logWorkspaceId string

var open = !isPrivate || !empty(allowedAddresses)

resource namespace 'Microsoft.ServiceBus/namespaces@2022-10-01-preview' = {
  name: name
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  sku: {
    name: sku
    tier: sku
    capacity: sku == 'Premium' ? 1 : null
  }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: open ? 'Enabled' : 'Disabled'
  }
}

resource rules 'Microsoft.ServiceBus/namespaces/networkRuleSets@2022-10-01-preview' = if (isPrivate) {
  parent: namespace
  name: 'default'
  properties: {
    defaultAction: 'Deny'
    publicNetworkAccess: open ? 'Enabled' : 'Disabled'
    // Event Grid delivers run events as a trusted service.
    trustedServiceAccessEnabled: true
    ipRules: [for address in allowedAddresses: {
      action: 'Allow'
      ipMask: address
    }]
  }
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2022-10-01-preview' = [for queue in queues: {
  parent: namespace
  name: queue
  properties: {
    deadLetteringOnMessageExpiration: true
    defaultMessageTimeToLive: 'P7D'
    duplicateDetectionHistoryTimeWindow: 'PT10M'
    enablePartitioning: false
    lockDuration: 'PT5M'
    maxDeliveryCount: maxDeliveryCount
    maxSizeInMegabytes: 5120
    requiresDuplicateDetection: true
    requiresSession: contains(sessionQueues, queue)
  }
}]

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: namespace
  properties: {
    workspaceId: logWorkspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

output id string = namespace.id
output name string = namespace.name
// Without the scheme and port of https://<name>.servicebus.windows.net:443/.
output host string = split(split(namespace.properties.serviceBusEndpoint, '//')[1], ':')[0]
