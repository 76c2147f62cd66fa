"""The ports on Azure's services.

Every SDK is imported where it is used: wiring must cost nothing before the first call.
"""
