"""What `gpulockctl doctor` looks at: one file per part of an installation, each returning findings."""
