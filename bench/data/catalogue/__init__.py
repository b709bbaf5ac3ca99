"""The datasets on record: cards, lists, names of files and what two lists share."""
