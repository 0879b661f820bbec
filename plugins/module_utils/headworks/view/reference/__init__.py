"""The reference of every variable, generated from the models: YAML comments, tables in ``docs``, a JSON Schema.

``files.py`` lists what is generated; ``scripts/reference`` writes it. What does not belong here: the descriptions
themselves, which are in the fields of ``model/``.
"""
