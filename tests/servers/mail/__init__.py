"""What mails and cards are sent to: a mail server, Communication Services Email, and a channel's webhook."""
