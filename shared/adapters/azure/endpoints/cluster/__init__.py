"""Endpoints in a Kubernetes cluster without Azure ML: plain manifests, applied to its API server.

| file | what is in it |
|---|---|
| `options.py` | an entry of `configs/deployment_config.json`, checked |
| `manifests.py` | a deployment as Deployment, Service and HorizontalPodAutoscaler; an endpoint as HTTPRoute. Pure |
| `reading.py` | the cluster's objects as deployments, states and traffic. Pure |
| `api.py` | the API server: apply, get, list, delete |
| `target.py` | what comes next on the way to a deployment |
"""
