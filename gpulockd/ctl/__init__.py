"""gpulockctl: look and control, one small file per command."""
