"""What an operator may say: pydantic models of the cloud, its nodes and its instances. Control side only."""
