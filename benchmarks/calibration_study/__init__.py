"""What ``calibration_tables.py`` measures: networks, tables, occlusion, whole bodies, body fitting; a module each."""
