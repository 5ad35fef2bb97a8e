"""What would go wrong with an order, said before it leaves. Nothing here sends or writes."""
