"""Notification: telling approvers, pull requests and the pipeline that waits."""
