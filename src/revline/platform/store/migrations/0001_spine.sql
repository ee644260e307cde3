DO $check$
BEGIN
    IF (SELECT count(*) FROM pg_roles WHERE rolname IN ('revline_owner', 'revline_app', 'revline_control')) < 3 THEN
        RAISE EXCEPTION 'create the roles revline_owner, revline_app and revline_control first (see docs: operate, database)';
    END IF;
END
$check$;

CREATE TABLE counter (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    CONSTRAINT pk_counter PRIMARY KEY (tenant_id),
    CONSTRAINT ck_counter_tenant_id CHECK (tenant_id ~ '^[a-z][a-z0-9-]{0,38}$'),
    CONSTRAINT ck_counter_position CHECK (position >= 0)
)
 WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE, DELETE ON counter TO revline_app;
GRANT SELECT ON counter TO revline_control;

CREATE TABLE idempotency (
    tenant_id TEXT NOT NULL,
    key TEXT NOT NULL,
    input_hash BYTEA NOT NULL,
    field_digests JSONB NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    position BIGINT,
    answer JSONB,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_idempotency PRIMARY KEY (tenant_id, key),
    CONSTRAINT ck_idempotency_key CHECK (length(key) <= 255)
);

CREATE INDEX ix_idempotency_tenant_id_expires_at ON idempotency (tenant_id, expires_at);

ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON idempotency
    USING (tenant_id = ANY(string_to_array(current_setting('revline.tenants', true), ',')))
    WITH CHECK (tenant_id = ANY(string_to_array(current_setting('revline.tenants', true), ',')));

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO revline_app;

CREATE TABLE unit (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    previous_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    kind TEXT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    row_count INTEGER NOT NULL,
    CONSTRAINT pk_unit PRIMARY KEY (tenant_id, position)
);

ALTER TABLE unit ENABLE ROW LEVEL SECURITY;
ALTER TABLE unit FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON unit
    USING (tenant_id = ANY(string_to_array(current_setting('revline.tenants', true), ',')))
    WITH CHECK (tenant_id = ANY(string_to_array(current_setting('revline.tenants', true), ',')));

GRANT SELECT, INSERT ON unit TO revline_app;
