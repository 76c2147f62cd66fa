"""What whole experiments cost: cold and warm beside `PFClient.run`, at the limit, after changes, and at length."""
