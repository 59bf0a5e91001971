"""The actions of `gpulockctl config`."""
