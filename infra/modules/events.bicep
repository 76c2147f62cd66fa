// What happens elsewhere: Azure ML's run events go to the queue `run-events`, delivered as the topic's own identity.
// Uploads of datasets have a topic here and their subscription in infra/datasets.bicep, once the code is deployed.

param names object
param location string
param tags object
param machineLearningName string
param serviceBusName string
param runEventsQueue string
param datasetsAccountId string

var roles = loadJsonContent('../roles.json')

resource workspace 'Microsoft.MachineLearningServices/workspaces@2024-10-01' existing = {
  name: machineLearningName
}

resource bus 'Microsoft.ServiceBus/namespaces@2022-10-01-preview' existing = {
  name: serviceBusName

  resource runEvents 'queues@2022-10-01-preview' existing = {
    name: runEventsQueue
  }
}

resource runs 'Microsoft.EventGrid/systemTopics@2022-06-15' = {
  name: names.runsTopic
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    source: workspace.id
    topicType: 'Microsoft.MachineLearningServices.Workspaces'
  }
}

resource mayDeliver 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(bus::runEvents.id, runs.id, 'Azure Service Bus Data Sender')
  scope: bus::runEvents
  properties: {
    principalId: runs.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles['Azure Service Bus Data Sender'])
  }
}

resource runChanges 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2022-06-15' = {
  parent: runs
  name: 'runs'
  properties: {
    deliveryWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      destination: {
        endpointType: 'ServiceBusQueue'
        properties: {
          resourceId: bus::runEvents.id
        }
      }
    }
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: [
        'Microsoft.MachineLearningServices.RunCompleted'
        'Microsoft.MachineLearningServices.RunStatusChanged'
      ]
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
  }
  dependsOn: [
    mayDeliver
  ]
}

resource datasets 'Microsoft.EventGrid/systemTopics@2022-06-15' = {
  name: names.datasetsTopic
  location: location
  tags: tags
  properties: {
    source: datasetsAccountId
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

output datasetsTopicName string = datasets.name
