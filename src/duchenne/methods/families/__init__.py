"""What methods of one family share: sequences, two views, labelled pictures; a method's own loss is in its folder."""
