CREATE INDEX {ix_*subscription_members_presence}
ON {subscription_members} (presence) WHERE presence <> 0;
