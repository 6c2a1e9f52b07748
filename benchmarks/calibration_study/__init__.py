"""What ``calibration_tables.py`` measures, a module each: networks and their heads, tables, occlusion, whole bodies and
body fitting."""
