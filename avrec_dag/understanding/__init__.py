"""What each item is: its modalities fused into one vector, the classifier trained on people's labels, and the classes of every item."""
