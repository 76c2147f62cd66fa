def act( -> str:
