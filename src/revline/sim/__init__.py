"""Systems that are played, so that a buyer can rehearse and a test can own both sides."""
