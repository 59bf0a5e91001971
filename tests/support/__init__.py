"""What tests share: processes, servers, waiting for conditions."""
