"""What the documentation site shows and no one writes by hand: drawings and tables, made from the code."""
