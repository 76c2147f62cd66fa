"""Notification: telling approvers, pull requests and the pipeline that waits.

    notify.py          performs the commands
    told.py            what there is to tell of a chain, read once; the texts are pure functions of it
    comment.py         the pull request's comment
    run_page.py        a run's page and tags, a status in one line
    final_log.py       a task's log
    approval_text.py   an approver's notice and card
    alert_text.py      an alert about a dataset
    sections.py        parts of which those are made
    figures.py         the evidence as tables and differences
    markdown.py        data in Markdown that stays data

Nothing here speaks to the world: the ports `Notifier` and `Pipelines` do.
"""
