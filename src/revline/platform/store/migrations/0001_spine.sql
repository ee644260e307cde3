DO $check$
BEGIN
    IF (SELECT count(*) FROM pg_roles WHERE rolname IN ('revline_owner', 'revline_app', 'revline_control')) < 3 THEN
        RAISE EXCEPTION 'create the roles revline_owner, revline_app and revline_control first (see docs: operate, database)';
    END IF;
END
$check$;

CREATE TABLE access_change (
    change_id BIGINT GENERATED ALWAYS AS IDENTITY,
    person_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    action TEXT NOT NULL,
    role TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_access_change PRIMARY KEY (change_id)
);

CREATE INDEX ix_access_change_tenant ON access_change (tenant_id, change_id);

GRANT SELECT, INSERT ON access_change TO revline_app;

CREATE TABLE accounting_event (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    root_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    accounting_date DATE NOT NULL,
    content TEXT NOT NULL,
    content_digest TEXT NOT NULL,
    reverses TEXT NOT NULL,
    configuration_version INTEGER NOT NULL,
    CONSTRAINT pk_accounting_event PRIMARY KEY (tenant_id, event_id),
    CONSTRAINT uq_accounting_event_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

CREATE INDEX ix_accounting_event_tenant_id_root_id ON accounting_event (tenant_id, root_id);

CREATE UNIQUE INDEX uq_accounting_event_reverses ON accounting_event (tenant_id, reverses) WHERE reverses <> '';

ALTER TABLE accounting_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounting_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON accounting_event
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON accounting_event TO revline_app;

CREATE TABLE accounting_event_fact (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    fact_position BIGINT NOT NULL,
    fact_ordinal INTEGER NOT NULL,
    CONSTRAINT pk_accounting_event_fact PRIMARY KEY (tenant_id, event_id, fact_position, fact_ordinal),
    CONSTRAINT uq_accounting_event_fact_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

CREATE INDEX ix_accounting_event_fact_tenant_id_fact_position_fact_ordinal ON accounting_event_fact (tenant_id, fact_position, fact_ordinal);

ALTER TABLE accounting_event_fact ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounting_event_fact FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON accounting_event_fact
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON accounting_event_fact TO revline_app;

CREATE TABLE api_key (
    key_digest BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_key PRIMARY KEY (key_digest),
    CONSTRAINT ck_api_key_role CHECK (role IN ('ingest', 'operator', 'finance', 'auditor', 'administrator')),
    CONSTRAINT ck_api_key_key_digest CHECK (octet_length(key_digest) = 32),
    CONSTRAINT uq_api_key_key_id UNIQUE (key_id)
);

CREATE INDEX ix_api_key_tenant ON api_key (tenant_id, key_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON api_key TO revline_app;
GRANT SELECT ON api_key TO revline_control;

CREATE TABLE attempt (
    tenant_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    step TEXT NOT NULL,
    operation TEXT NOT NULL,
    state TEXT NOT NULL,
    digest BYTEA NOT NULL,
    idempotency_key TEXT NOT NULL,
    configuration_version BIGINT NOT NULL,
    epoch INTEGER NOT NULL,
    call_id TEXT NOT NULL,
    marked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    settled_at TIMESTAMP WITH TIME ZONE,
    problem_code TEXT NOT NULL,
    evidence TEXT NOT NULL,
    request TEXT DEFAULT '' NOT NULL,
    position BIGINT,
    CONSTRAINT pk_attempt PRIMARY KEY (tenant_id, document_id, attempt),
    CONSTRAINT ck_attempt_state CHECK (state IN ('sending', 'posted', 'placed', 'accepted', 'rejected', 'not_sent', 'throttled', 'uncertain'))
)
 WITH (fillfactor = 50);

ALTER TABLE attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE attempt FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON attempt
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON attempt TO revline_app;

CREATE TABLE awaited (
    tenant_id TEXT NOT NULL,
    root_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    name_kind TEXT NOT NULL,
    name_value TEXT NOT NULL,
    deadline TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL,
    seen_through BIGINT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_awaited PRIMARY KEY (tenant_id, root_id, connection, object_kind, name_kind, name_value),
    CONSTRAINT ck_awaited_state CHECK (state IN ('waiting', 'arrived', 'overdue'))
);

CREATE INDEX ix_awaited_deadline ON awaited (tenant_id, state, deadline);

CREATE INDEX ix_awaited_name ON awaited (tenant_id, name_value, name_kind);

ALTER TABLE awaited ENABLE ROW LEVEL SECURITY;
ALTER TABLE awaited FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON awaited
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON awaited TO revline_app;

CREATE TABLE backlog_sample (
    tenant_id TEXT NOT NULL,
    underived BIGINT NOT NULL,
    undelivered BIGINT NOT NULL,
    oldest_due_at TIMESTAMP WITH TIME ZONE,
    sampled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE NOT NULL,
    held_by TEXT NOT NULL,
    held_since TIMESTAMP WITH TIME ZONE,
    refused BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_backlog_sample PRIMARY KEY (tenant_id)
);

CREATE INDEX ix_backlog_sample_held ON backlog_sample (tenant_id) WHERE held_by <> '';

GRANT SELECT, INSERT, UPDATE, DELETE ON backlog_sample TO revline_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON backlog_sample TO revline_control;

CREATE TABLE body (
    tenant_id TEXT NOT NULL,
    digest BYTEA NOT NULL,
    bytes BYTEA NOT NULL,
    content_type TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_body PRIMARY KEY (tenant_id, digest)
);

ALTER TABLE body ENABLE ROW LEVEL SECURITY;
ALTER TABLE body FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON body
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON body TO revline_app;

CREATE TABLE bulk_act (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    act_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    filter TEXT NOT NULL,
    records INTEGER NOT NULL,
    money TEXT NOT NULL,
    digest BYTEA NOT NULL,
    second_person BOOLEAN NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    frozen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_bulk_act PRIMARY KEY (tenant_id, act_id),
    CONSTRAINT ck_bulk_act_records CHECK (records > 0),
    CONSTRAINT uq_bulk_act_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

ALTER TABLE bulk_act ENABLE ROW LEVEL SECURITY;
ALTER TABLE bulk_act FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON bulk_act
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON bulk_act TO revline_app;

CREATE TABLE bulk_item (
    tenant_id TEXT NOT NULL,
    act_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount NUMERIC(38, 12),
    outcome TEXT NOT NULL,
    problem_code TEXT NOT NULL,
    problem_detail TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_bulk_item PRIMARY KEY (tenant_id, act_id, number),
    CONSTRAINT ck_bulk_item_outcome CHECK (outcome IN ('none', 'done', 'refused', 'failed'))
);

CREATE INDEX ix_bulk_item_outcome ON bulk_item (tenant_id, act_id, outcome, number);

ALTER TABLE bulk_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE bulk_item FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON bulk_item
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON bulk_item TO revline_app;

CREATE TABLE bulk_state (
    tenant_id TEXT NOT NULL,
    act_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    filter TEXT NOT NULL,
    state TEXT NOT NULL,
    done INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    decided_by TEXT NOT NULL,
    note TEXT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_bulk_state PRIMARY KEY (tenant_id, act_id),
    CONSTRAINT ck_bulk_state_state CHECK (state IN ('proposed', 'running', 'paused', 'aborted', 'done', 'refused'))
);

CREATE INDEX ix_bulk_state_live ON bulk_state (tenant_id, kind) WHERE state IN ('proposed', 'running', 'paused');

ALTER TABLE bulk_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE bulk_state FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON bulk_state
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON bulk_state TO revline_app;

CREATE TABLE bulk_transition (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    act_id TEXT NOT NULL,
    state TEXT NOT NULL,
    done INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_bulk_transition PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE INDEX ix_bulk_transition_act ON bulk_transition (tenant_id, act_id);

ALTER TABLE bulk_transition ENABLE ROW LEVEL SECURITY;
ALTER TABLE bulk_transition FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON bulk_transition
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON bulk_transition TO revline_app;

CREATE TABLE capacity_budget (
    pool_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    kind_group TEXT NOT NULL,
    share_percent INTEGER NOT NULL,
    slots_max INTEGER,
    CONSTRAINT pk_capacity_budget PRIMARY KEY (pool_id, tenant_id, kind_group),
    CONSTRAINT ck_capacity_budget_share_percent CHECK (share_percent BETWEEN 0 AND 100),
    CONSTRAINT ck_capacity_budget_slots_max CHECK (slots_max > 0),
    CONSTRAINT ck_capacity_budget_of_something CHECK (tenant_id <> '' OR kind_group <> '')
);

GRANT SELECT, INSERT, UPDATE, DELETE ON capacity_budget TO revline_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON capacity_budget TO revline_control;

CREATE TABLE capacity_change (
    change_id BIGINT GENERATED ALWAYS AS IDENTITY,
    pool_id TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_capacity_change PRIMARY KEY (change_id)
);

CREATE INDEX ix_capacity_change_pool ON capacity_change (pool_id, change_id);

GRANT SELECT, INSERT ON capacity_change TO revline_app;

CREATE TABLE capacity_pool (
    pool_id TEXT NOT NULL,
    slots INTEGER NOT NULL,
    bucket_per_second NUMERIC(18, 6) NOT NULL,
    bucket_burst INTEGER NOT NULL,
    set_slots INTEGER,
    set_per_second NUMERIC(18, 6),
    set_burst INTEGER,
    bucket_tokens NUMERIC(18, 6) NOT NULL,
    refilled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    adapted_slots INTEGER,
    adapted_at TIMESTAMP WITH TIME ZONE,
    throttled_until TIMESTAMP WITH TIME ZONE,
    throttled BIGINT DEFAULT '0' NOT NULL,
    calls BIGINT DEFAULT '0' NOT NULL,
    breaker_failures INTEGER NOT NULL,
    breaker_until TIMESTAMP WITH TIME ZONE,
    probe_call TEXT DEFAULT '' NOT NULL,
    blocked BOOLEAN NOT NULL,
    CONSTRAINT pk_capacity_pool PRIMARY KEY (pool_id),
    CONSTRAINT ck_capacity_pool_slots CHECK (slots > 0 AND set_slots > 0 AND adapted_slots > 0),
    CONSTRAINT ck_capacity_pool_rate CHECK (set_per_second > 0 AND set_burst > 0)
)
 WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX ix_capacity_pool_ailing ON capacity_pool (pool_id) WHERE (blocked OR breaker_until IS NOT NULL OR throttled_until IS NOT NULL);

GRANT SELECT, INSERT, UPDATE, DELETE ON capacity_pool TO revline_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON capacity_pool TO revline_control;

CREATE TABLE case_behind (
    tenant_id TEXT NOT NULL,
    case_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount NUMERIC(38, 12) NOT NULL,
    CONSTRAINT pk_case_behind PRIMARY KEY (tenant_id, case_id, currency)
);

CREATE INDEX ix_case_behind_amount ON case_behind (tenant_id, currency, amount, case_id);

ALTER TABLE case_behind ENABLE ROW LEVEL SECURITY;
ALTER TABLE case_behind FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON case_behind
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON case_behind TO revline_app;

CREATE TABLE case_transition (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    case_id TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount NUMERIC(38, 12),
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_case_transition PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE INDEX ix_case_transition_case ON case_transition (tenant_id, case_id);

ALTER TABLE case_transition ENABLE ROW LEVEL SECURITY;
ALTER TABLE case_transition FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON case_transition
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON case_transition TO revline_app;

CREATE TABLE cause (
    tenant_id TEXT NOT NULL,
    cause_id TEXT NOT NULL,
    code TEXT NOT NULL,
    connection TEXT NOT NULL,
    field TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_cause PRIMARY KEY (tenant_id, cause_id)
);

ALTER TABLE cause ENABLE ROW LEVEL SECURITY;
ALTER TABLE cause FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON cause
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON cause TO revline_app;

CREATE TABLE cell (
    cell_id SMALLINT NOT NULL,
    epoch INTEGER NOT NULL,
    began_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT pk_cell PRIMARY KEY (cell_id),
    CONSTRAINT ck_cell_one CHECK (cell_id = 1),
    CONSTRAINT ck_cell_epoch CHECK (epoch > 0)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON cell TO revline_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON cell TO revline_control;

CREATE TABLE charge (
    tenant_id TEXT NOT NULL,
    charge_id TEXT NOT NULL,
    lane_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    customer TEXT NOT NULL,
    start_at TIMESTAMP WITH TIME ZONE NOT NULL,
    end_at TIMESTAMP WITH TIME ZONE NOT NULL,
    newest INTEGER NOT NULL,
    standing INTEGER NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_charge PRIMARY KEY (tenant_id, charge_id)
);

CREATE INDEX ix_charge_customer ON charge (tenant_id, connection, customer, start_at);

CREATE INDEX ix_charge_lane ON charge (tenant_id, lane_id);

CREATE INDEX ix_charge_window ON charge (tenant_id, start_at, charge_id);

ALTER TABLE charge ENABLE ROW LEVEL SECURITY;
ALTER TABLE charge FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON charge
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON charge TO revline_app;

CREATE TABLE charge_billing (
    tenant_id TEXT NOT NULL,
    charge_id TEXT NOT NULL,
    day DATE NOT NULL,
    cleared NUMERIC(38, 12) NOT NULL,
    billed BOOLEAN NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_charge_billing PRIMARY KEY (tenant_id, charge_id)
);

ALTER TABLE charge_billing ENABLE ROW LEVEL SECURITY;
ALTER TABLE charge_billing FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON charge_billing
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON charge_billing TO revline_app;

CREATE TABLE charge_entry (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    charge_id TEXT NOT NULL,
    part TEXT NOT NULL,
    entry INTEGER NOT NULL,
    kind TEXT NOT NULL,
    day DATE NOT NULL,
    amount NUMERIC(38, 12) NOT NULL,
    currency TEXT NOT NULL,
    revision INTEGER NOT NULL,
    connection TEXT NOT NULL,
    fact_id TEXT NOT NULL,
    CONSTRAINT pk_charge_entry PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE INDEX ix_charge_entry_fact ON charge_entry (tenant_id, fact_id);

CREATE UNIQUE INDEX uq_charge_entry ON charge_entry (tenant_id, charge_id, part, entry);

ALTER TABLE charge_entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE charge_entry FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON charge_entry
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON charge_entry TO revline_app;

CREATE TABLE charge_revision (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    charge_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    connection TEXT NOT NULL,
    customer TEXT NOT NULL,
    kind TEXT NOT NULL,
    price TEXT NOT NULL,
    groups TEXT NOT NULL,
    start_at TIMESTAMP WITH TIME ZONE NOT NULL,
    end_at TIMESTAMP WITH TIME ZONE NOT NULL,
    origin_start_at TIMESTAMP WITH TIME ZONE,
    origin_end_at TIMESTAMP WITH TIME ZONE,
    entity TEXT NOT NULL,
    product_family TEXT NOT NULL,
    meter TEXT NOT NULL,
    unit TEXT NOT NULL,
    quantity NUMERIC(38, 18) NOT NULL,
    currency TEXT NOT NULL,
    amount NUMERIC(38, 12) NOT NULL,
    events BIGINT NOT NULL,
    usage_version TEXT NOT NULL,
    configuration_version INTEGER NOT NULL,
    read_position BIGINT NOT NULL,
    digest TEXT NOT NULL,
    explanation TEXT NOT NULL,
    held BOOLEAN NOT NULL,
    CONSTRAINT pk_charge_revision PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE UNIQUE INDEX uq_charge_revision ON charge_revision (tenant_id, charge_id, revision);

ALTER TABLE charge_revision ENABLE ROW LEVEL SECURITY;
ALTER TABLE charge_revision FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON charge_revision
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON charge_revision TO revline_app;

CREATE TABLE closing_change (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    entity TEXT NOT NULL,
    start_day DATE NOT NULL,
    end_day DATE NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    ended BOOLEAN NOT NULL,
    CONSTRAINT pk_closing_change PRIMARY KEY (tenant_id, position, ordinal)
);

ALTER TABLE closing_change ENABLE ROW LEVEL SECURITY;
ALTER TABLE closing_change FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON closing_change
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON closing_change TO revline_app;

CREATE TABLE closing_period (
    tenant_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    start_day DATE NOT NULL,
    end_day DATE NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    ended BOOLEAN NOT NULL,
    lane_id TEXT NOT NULL,
    treated TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_closing_period PRIMARY KEY (tenant_id, entity, start_day),
    CONSTRAINT ck_closing_period_days CHECK (end_day > start_day)
);

CREATE INDEX ix_closing_period_lane ON closing_period (tenant_id, lane_id);

ALTER TABLE closing_period ENABLE ROW LEVEL SECURITY;
ALTER TABLE closing_period FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON closing_period
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON closing_period TO revline_app;

CREATE TABLE configuration_document (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    file TEXT NOT NULL,
    line INTEGER NOT NULL,
    content TEXT NOT NULL,
    digest TEXT NOT NULL,
    CONSTRAINT pk_configuration_document PRIMARY KEY (tenant_id, version, kind, name),
    CONSTRAINT uq_configuration_document_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

ALTER TABLE configuration_document ENABLE ROW LEVEL SECURITY;
ALTER TABLE configuration_document FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON configuration_document
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON configuration_document TO revline_app;

CREATE TABLE configuration_version (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    activated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_configuration_version PRIMARY KEY (tenant_id, version),
    CONSTRAINT ck_configuration_version_version CHECK (version >= 1),
    CONSTRAINT uq_configuration_version_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

ALTER TABLE configuration_version ENABLE ROW LEVEL SECURITY;
ALTER TABLE configuration_version FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON configuration_version
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON configuration_version TO revline_app;

CREATE TABLE correction (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    correction_id TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount NUMERIC(38, 12) NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    proposed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    body_digest BYTEA NOT NULL,
    CONSTRAINT pk_correction PRIMARY KEY (tenant_id, correction_id),
    CONSTRAINT ck_correction_subject_kind CHECK (subject_kind IN ('fact', 'input')),
    CONSTRAINT uq_correction_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

CREATE INDEX ix_correction_subject ON correction (tenant_id, subject_id);

ALTER TABLE correction ENABLE ROW LEVEL SECURITY;
ALTER TABLE correction FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON correction
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON correction TO revline_app;

CREATE TABLE correction_state (
    tenant_id TEXT NOT NULL,
    correction_id TEXT NOT NULL,
    state TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE,
    fact_id TEXT NOT NULL,
    CONSTRAINT pk_correction_state PRIMARY KEY (tenant_id, correction_id),
    CONSTRAINT ck_correction_state_state CHECK (state IN ('proposed', 'applied', 'refused'))
);

ALTER TABLE correction_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE correction_state FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON correction_state
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON correction_state TO revline_app;

CREATE TABLE counter (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    CONSTRAINT pk_counter PRIMARY KEY (tenant_id),
    CONSTRAINT ck_counter_tenant_id CHECK (tenant_id ~ '^[a-z][a-z0-9-]{0,38}$'),
    CONSTRAINT ck_counter_position CHECK (position >= 0)
)
 WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON counter TO revline_app;
GRANT SELECT ON counter TO revline_control;

CREATE TABLE credit_grant (
    tenant_id TEXT NOT NULL,
    grant_id TEXT NOT NULL,
    holder_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    outside_id TEXT NOT NULL,
    customer TEXT NOT NULL,
    plan TEXT NOT NULL,
    granted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    voided BOOLEAN NOT NULL,
    content TEXT NOT NULL,
    CONSTRAINT pk_credit_grant PRIMARY KEY (tenant_id, grant_id)
);

CREATE INDEX ix_credit_grant_tenant_id_granted_at_grant_id ON credit_grant (tenant_id, granted_at, grant_id);

CREATE INDEX ix_credit_grant_tenant_id_holder_id ON credit_grant (tenant_id, holder_id);

ALTER TABLE credit_grant ENABLE ROW LEVEL SECURITY;
ALTER TABLE credit_grant FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON credit_grant
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON credit_grant TO revline_app;

CREATE TABLE credit_holder (
    tenant_id TEXT NOT NULL,
    holder_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    customer TEXT NOT NULL,
    look_at TIMESTAMP WITH TIME ZONE,
    settled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_credit_holder PRIMARY KEY (tenant_id, holder_id)
);

CREATE INDEX ix_credit_holder_tenant_id_connection_customer ON credit_holder (tenant_id, connection, customer);

CREATE INDEX ix_credit_holder_tenant_id_look_at ON credit_holder (tenant_id, look_at);

ALTER TABLE credit_holder ENABLE ROW LEVEL SECURITY;
ALTER TABLE credit_holder FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON credit_holder
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON credit_holder TO revline_app;

CREATE TABLE credit_posting (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    entry_id TEXT NOT NULL,
    account TEXT NOT NULL,
    holder_id TEXT NOT NULL,
    "grant" TEXT NOT NULL,
    rule TEXT NOT NULL,
    cause TEXT NOT NULL,
    day DATE NOT NULL,
    product_family TEXT NOT NULL,
    number INTEGER NOT NULL,
    moved_at TIMESTAMP WITH TIME ZONE NOT NULL,
    currency TEXT NOT NULL,
    amount NUMERIC(38, 12) NOT NULL,
    cost NUMERIC(38, 12) NOT NULL,
    CONSTRAINT pk_credit_posting PRIMARY KEY (tenant_id, entry_id, account),
    CONSTRAINT ck_credit_posting_account CHECK (account IN ('granted', 'held', 'drawn', 'expired', 'taken_back')),
    CONSTRAINT ck_credit_posting_rule CHECK (rule IN ('granted', 'drawn', 'returned', 'expired', 'breakage', 'taken_back')),
    CONSTRAINT uq_credit_posting_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

CREATE INDEX ix_credit_posting_tenant_id_cause ON credit_posting (tenant_id, cause);

CREATE INDEX ix_credit_posting_tenant_id_holder_id_grant ON credit_posting (tenant_id, holder_id, "grant");

ALTER TABLE credit_posting ENABLE ROW LEVEL SECURITY;
ALTER TABLE credit_posting FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON credit_posting
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON credit_posting TO revline_app;

CREATE TABLE credit_refund (
    tenant_id TEXT NOT NULL,
    refund_id TEXT NOT NULL,
    holder_id TEXT NOT NULL,
    content TEXT NOT NULL,
    CONSTRAINT pk_credit_refund PRIMARY KEY (tenant_id, refund_id)
);

CREATE INDEX ix_credit_refund_tenant_id_holder_id ON credit_refund (tenant_id, holder_id);

ALTER TABLE credit_refund ENABLE ROW LEVEL SECURITY;
ALTER TABLE credit_refund FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON credit_refund
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON credit_refund TO revline_app;

CREATE TABLE derive_run (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    root_id TEXT NOT NULL,
    read_through BIGINT NOT NULL,
    configuration_version INTEGER NOT NULL,
    booked INTEGER NOT NULL,
    reversed INTEGER NOT NULL,
    CONSTRAINT pk_derive_run PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE INDEX ix_derive_run_tenant_id_root_id ON derive_run (tenant_id, root_id);

ALTER TABLE derive_run ENABLE ROW LEVEL SECURITY;
ALTER TABLE derive_run FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON derive_run
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON derive_run TO revline_app;

CREATE TABLE disposition (
    tenant_id TEXT NOT NULL,
    root_id TEXT NOT NULL,
    fact_position BIGINT NOT NULL,
    fact_ordinal INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    effects TEXT[] NOT NULL,
    rule TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_disposition PRIMARY KEY (tenant_id, root_id, fact_position, fact_ordinal),
    CONSTRAINT ck_disposition_verdict CHECK (verdict IN ('effects', 'none', 'awaited', 'case'))
);

CREATE INDEX ix_disposition_tenant_id_verdict ON disposition (tenant_id, verdict);

ALTER TABLE disposition ENABLE ROW LEVEL SECURITY;
ALTER TABLE disposition FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON disposition
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON disposition TO revline_app;

CREATE TABLE document (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    document_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    connection TEXT NOT NULL,
    entity TEXT NOT NULL,
    book TEXT NOT NULL,
    external_reference TEXT NOT NULL,
    event_id TEXT NOT NULL,
    journal_id TEXT NOT NULL,
    lane_id TEXT NOT NULL,
    lane_key TEXT NOT NULL,
    rank SMALLINT NOT NULL,
    reverses TEXT NOT NULL,
    CONSTRAINT pk_document PRIMARY KEY (tenant_id, document_id),
    CONSTRAINT uq_document_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

CREATE INDEX ix_document_event ON document (tenant_id, event_id);

CREATE INDEX ix_document_journal ON document (tenant_id, journal_id);

CREATE INDEX ix_document_reference ON document (tenant_id, connection, external_reference);

ALTER TABLE document ENABLE ROW LEVEL SECURITY;
ALTER TABLE document FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON document
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON document TO revline_app;

CREATE TABLE document_evidence (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    document_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    asked TEXT NOT NULL,
    company TEXT NOT NULL,
    waited_until TIMESTAMP WITH TIME ZONE,
    found INTEGER NOT NULL,
    records TEXT NOT NULL,
    conclusion TEXT NOT NULL,
    detail TEXT NOT NULL,
    CONSTRAINT pk_document_evidence PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE INDEX ix_document_evidence_document ON document_evidence (tenant_id, document_id);

ALTER TABLE document_evidence ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_evidence FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON document_evidence
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON document_evidence TO revline_app;

CREATE TABLE document_predecessor (
    tenant_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    predecessor_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_document_predecessor PRIMARY KEY (tenant_id, document_id, predecessor_id)
);

CREATE INDEX ix_document_predecessor_predecessor ON document_predecessor (tenant_id, predecessor_id);

ALTER TABLE document_predecessor ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_predecessor FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON document_predecessor
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON document_predecessor TO revline_app;

CREATE TABLE document_revision (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    document_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    currency TEXT NOT NULL,
    amount NUMERIC(38, 12) NOT NULL,
    accounting_date DATE,
    configuration_version BIGINT NOT NULL,
    content_digest BYTEA NOT NULL,
    content TEXT NOT NULL,
    CONSTRAINT pk_document_revision PRIMARY KEY (tenant_id, document_id, revision),
    CONSTRAINT uq_document_revision_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

ALTER TABLE document_revision ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_revision FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON document_revision
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON document_revision TO revline_app;

CREATE TABLE document_state (
    tenant_id TEXT NOT NULL,
    archived BOOLEAN DEFAULT false NOT NULL,
    document_id TEXT NOT NULL,
    state TEXT NOT NULL,
    revision INTEGER NOT NULL,
    step TEXT NOT NULL,
    kind TEXT NOT NULL,
    connection TEXT NOT NULL,
    entity TEXT NOT NULL,
    book TEXT NOT NULL,
    lane_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    rank SMALLINT NOT NULL,
    currency TEXT NOT NULL,
    amount NUMERIC(38, 12) NOT NULL,
    accounting_date DATE,
    epoch INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    marked_at TIMESTAMP WITH TIME ZONE,
    uncertain_since TIMESTAMP WITH TIME ZONE,
    due_at TIMESTAMP WITH TIME ZONE,
    handle TEXT NOT NULL,
    problem_code TEXT NOT NULL,
    problem_field TEXT NOT NULL,
    problem_detail TEXT NOT NULL,
    set_aside_at TIMESTAMP WITH TIME ZONE,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_document_state PRIMARY KEY (tenant_id, document_id, archived),
    CONSTRAINT ck_document_state_state CHECK (state IN ('prepared', 'ready', 'sending', 'placed', 'posted', 'accepted', 'uncertain', 'held', 'rejected', 'waived', 'superseded', 'reversed')),
    CONSTRAINT ck_document_state_set_aside CHECK (set_aside_at IS NULL OR state = 'rejected')
)
 PARTITION BY LIST (archived);

CREATE TABLE document_state_live PARTITION OF document_state FOR VALUES IN (false) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE document_state_history PARTITION OF document_state FOR VALUES IN (true);

CREATE INDEX ix_document_state_finished ON document_state (tenant_id, changed_at) WHERE state IN ('posted', 'reversed', 'superseded', 'waived') AND NOT archived;

CREATE INDEX ix_document_state_state ON document_state (tenant_id, connection, state, document_id);

ALTER TABLE document_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_state FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON document_state
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);
ALTER TABLE document_state_live ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_state_live FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON document_state_live
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);
ALTER TABLE document_state_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_state_history FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON document_state_history
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON document_state TO revline_app;

CREATE TABLE document_transition (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    document_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    step TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    problem_code TEXT NOT NULL,
    problem_detail TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_document_transition PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE INDEX ix_document_transition_document ON document_transition (tenant_id, document_id);

ALTER TABLE document_transition ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_transition FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON document_transition
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON document_transition TO revline_app;

CREATE TABLE epoch_raised (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    began_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_epoch_raised PRIMARY KEY (tenant_id, position, ordinal)
);

ALTER TABLE epoch_raised ENABLE ROW LEVEL SECURITY;
ALTER TABLE epoch_raised FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON epoch_raised
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON epoch_raised TO revline_app;

CREATE TABLE erp_entry (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    document_id TEXT NOT NULL,
    line INTEGER NOT NULL,
    connection TEXT NOT NULL,
    company TEXT NOT NULL,
    entity TEXT NOT NULL,
    book TEXT NOT NULL,
    account TEXT NOT NULL,
    debit NUMERIC(38, 12) NOT NULL,
    credit NUMERIC(38, 12) NOT NULL,
    currency TEXT NOT NULL,
    currency_amount NUMERIC(38, 12) NOT NULL,
    day DATE NOT NULL,
    period TEXT NOT NULL,
    party_reference TEXT NOT NULL,
    CONSTRAINT pk_erp_entry PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE INDEX ix_erp_entry_document ON erp_entry (tenant_id, document_id);

ALTER TABLE erp_entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE erp_entry FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON erp_entry
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON erp_entry TO revline_app;

CREATE TABLE erp_listing (
    tenant_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    record_kind TEXT NOT NULL,
    company TEXT NOT NULL,
    lane_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    pool_id TEXT NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    mode TEXT NOT NULL,
    pass_number BIGINT NOT NULL,
    cursor TEXT NOT NULL,
    resume TEXT NOT NULL,
    began_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    full_ended_at TIMESTAMP WITH TIME ZONE,
    pages INTEGER NOT NULL,
    records BIGINT NOT NULL,
    ours BIGINT NOT NULL,
    resolved INTEGER NOT NULL,
    doubled INTEGER NOT NULL,
    unexpected INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    gap_at TIMESTAMP WITH TIME ZONE,
    gap TEXT NOT NULL,
    problem_code TEXT NOT NULL,
    problem_detail TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_erp_listing PRIMARY KEY (tenant_id, connection, record_kind, company),
    CONSTRAINT ck_erp_listing_mode CHECK (mode IN ('changes', 'full', 'since'))
);

CREATE INDEX ix_erp_listing_lane ON erp_listing (tenant_id, lane_id);

ALTER TABLE erp_listing ENABLE ROW LEVEL SECURITY;
ALTER TABLE erp_listing FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON erp_listing
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON erp_listing TO revline_app;

CREATE TABLE erp_period (
    tenant_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    company TEXT NOT NULL,
    name TEXT NOT NULL,
    start_day DATE NOT NULL,
    end_day DATE NOT NULL,
    state TEXT NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_erp_period PRIMARY KEY (tenant_id, connection, company, name),
    CONSTRAINT ck_erp_period_state CHECK (state IN ('open', 'soft_closed', 'closed', 'unknown')),
    CONSTRAINT ck_erp_period_days CHECK (end_day > start_day),
    CONSTRAINT uq_erp_period_tenant_id_connection_company_start_day UNIQUE (tenant_id, connection, company, start_day)
);

ALTER TABLE erp_period ENABLE ROW LEVEL SECURITY;
ALTER TABLE erp_period FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON erp_period
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON erp_period TO revline_app;

CREATE TABLE erp_record (
    tenant_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    record_kind TEXT NOT NULL,
    erp_id TEXT NOT NULL,
    document_id TEXT,
    number TEXT NOT NULL,
    state TEXT NOT NULL,
    version TEXT NOT NULL,
    external_reference TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount NUMERIC(38, 12),
    accounting_date DATE,
    content TEXT NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    company TEXT DEFAULT '' NOT NULL,
    listed_in BIGINT DEFAULT '0' NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_erp_record PRIMARY KEY (tenant_id, connection, record_kind, erp_id)
);

CREATE INDEX ix_erp_record_document ON erp_record (tenant_id, document_id);

CREATE INDEX ix_erp_record_listed ON erp_record (tenant_id, connection, record_kind, company, listed_in) WHERE listed_in > 0;

CREATE INDEX ix_erp_record_reference ON erp_record (tenant_id, connection, external_reference);

ALTER TABLE erp_record ENABLE ROW LEVEL SECURITY;
ALTER TABLE erp_record FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON erp_record
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON erp_record TO revline_app;

CREATE TABLE erp_record_change (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    connection TEXT NOT NULL,
    record_kind TEXT NOT NULL,
    erp_id TEXT NOT NULL,
    document_id TEXT,
    field TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_erp_record_change PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE INDEX ix_erp_record_change_record ON erp_record_change (tenant_id, connection, record_kind, erp_id);

ALTER TABLE erp_record_change ENABLE ROW LEVEL SECURITY;
ALTER TABLE erp_record_change FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON erp_record_change
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON erp_record_change TO revline_app;

CREATE TABLE exception_case (
    tenant_id TEXT NOT NULL,
    case_id TEXT NOT NULL,
    cause_id TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    state TEXT NOT NULL,
    case_class TEXT NOT NULL,
    detail TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount NUMERIC(38, 12),
    openings INTEGER NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    position BIGINT NOT NULL,
    behind INTEGER DEFAULT '0' NOT NULL,
    behind_more BOOLEAN DEFAULT 'false' NOT NULL,
    behind_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_exception_case PRIMARY KEY (tenant_id, case_id),
    CONSTRAINT ck_exception_case_state CHECK (state IN ('open', 'resolved', 'waived')),
    CONSTRAINT ck_exception_case_case_class CHECK (case_class IN ('exception', 'timing'))
);

CREATE INDEX ix_exception_case_behind ON exception_case (tenant_id, behind, case_id) WHERE state = 'open' AND behind > 0;

CREATE INDEX ix_exception_case_counted ON exception_case (tenant_id, subject_kind, behind_at) WHERE state = 'open';

CREATE INDEX ix_exception_case_open ON exception_case (tenant_id, cause_id) WHERE state = 'open';

CREATE INDEX ix_exception_case_subject ON exception_case (tenant_id, subject_kind, subject_id);

ALTER TABLE exception_case ENABLE ROW LEVEL SECURITY;
ALTER TABLE exception_case FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON exception_case
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON exception_case TO revline_app;

CREATE TABLE fact (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    fact_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    outside_id TEXT NOT NULL,
    source_event TEXT NOT NULL,
    event_type TEXT NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    content_digest BYTEA NOT NULL,
    order_key TEXT[] NOT NULL,
    translator TEXT NOT NULL,
    body_digest BYTEA NOT NULL,
    content TEXT NOT NULL,
    CONSTRAINT pk_fact PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE INDEX ix_fact_object ON fact (tenant_id, connection, object_kind, outside_id);

CREATE UNIQUE INDEX uq_fact_fact_id ON fact (tenant_id, fact_id);

CREATE UNIQUE INDEX uq_fact_source_event ON fact (tenant_id, connection, source_event);

ALTER TABLE fact ENABLE ROW LEVEL SECURITY;
ALTER TABLE fact FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON fact
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON fact TO revline_app;

CREATE TABLE fact_root (
    tenant_id TEXT NOT NULL,
    root_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    CONSTRAINT pk_fact_root PRIMARY KEY (tenant_id, root_id, position, ordinal)
);

ALTER TABLE fact_root ENABLE ROW LEVEL SECURITY;
ALTER TABLE fact_root FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON fact_root
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON fact_root TO revline_app;

CREATE TABLE feedback_told (
    tenant_id TEXT NOT NULL,
    target_id TEXT NOT NULL,
    name TEXT NOT NULL,
    connection TEXT NOT NULL,
    about TEXT NOT NULL,
    order_key TEXT NOT NULL,
    content_digest TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    through BIGINT NOT NULL,
    owed BOOLEAN NOT NULL,
    document_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_feedback_told PRIMARY KEY (tenant_id, target_id)
);

CREATE INDEX ix_feedback_told_about ON feedback_told (tenant_id, about);

CREATE INDEX ix_feedback_told_owed ON feedback_told (tenant_id, connection) WHERE owed;

ALTER TABLE feedback_told ENABLE ROW LEVEL SECURITY;
ALTER TABLE feedback_told FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON feedback_told
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON feedback_told TO revline_app;

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
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO revline_app;

CREATE TABLE incomplete (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    incomplete_id TEXT NOT NULL,
    reread_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    source_event TEXT NOT NULL,
    event_type TEXT NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    translator TEXT NOT NULL,
    body_digest BYTEA NOT NULL,
    content TEXT NOT NULL,
    CONSTRAINT pk_incomplete PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE INDEX ix_incomplete_reread ON incomplete (tenant_id, reread_id);

CREATE UNIQUE INDEX uq_incomplete_incomplete_id ON incomplete (tenant_id, incomplete_id);

ALTER TABLE incomplete ENABLE ROW LEVEL SECURITY;
ALTER TABLE incomplete FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON incomplete
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON incomplete TO revline_app;

CREATE TABLE journal (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    journal_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    book TEXT NOT NULL,
    accounting_date DATE NOT NULL,
    period TEXT NOT NULL,
    functional_currency TEXT NOT NULL,
    rule TEXT NOT NULL,
    rule_file TEXT NOT NULL,
    rule_line INTEGER NOT NULL,
    configuration_version INTEGER NOT NULL,
    content TEXT NOT NULL,
    reverses TEXT NOT NULL,
    CONSTRAINT pk_journal PRIMARY KEY (tenant_id, journal_id),
    CONSTRAINT ck_journal_period CHECK (period ~ '^[0-9]{4}-[0-9]{2}$'),
    CONSTRAINT uq_journal_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

CREATE INDEX ix_journal_reverses ON journal (tenant_id, reverses) WHERE reverses <> '';

CREATE INDEX ix_journal_tenant_id_entity_book_period ON journal (tenant_id, entity, book, period);

CREATE UNIQUE INDEX uq_journal_event_book ON journal (tenant_id, event_id, book);

ALTER TABLE journal ENABLE ROW LEVEL SECURITY;
ALTER TABLE journal FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON journal
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON journal TO revline_app;

CREATE TABLE journal_line (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    journal_id TEXT NOT NULL,
    line INTEGER NOT NULL,
    entity TEXT NOT NULL,
    book TEXT NOT NULL,
    period TEXT NOT NULL,
    account TEXT NOT NULL,
    debit NUMERIC NOT NULL,
    credit NUMERIC NOT NULL,
    currency TEXT NOT NULL,
    functional_debit NUMERIC NOT NULL,
    functional_credit NUMERIC NOT NULL,
    functional_currency TEXT NOT NULL,
    rate NUMERIC NOT NULL,
    rate_source TEXT NOT NULL,
    conversion BOOLEAN NOT NULL,
    dimensions JSONB NOT NULL,
    party_root TEXT NOT NULL,
    source_line TEXT NOT NULL,
    CONSTRAINT pk_journal_line PRIMARY KEY (tenant_id, journal_id, line),
    CONSTRAINT ck_journal_line_sides CHECK (debit >= 0 AND credit >= 0 AND (debit = 0 OR credit = 0) AND functional_debit >= 0 AND functional_credit >= 0),
    CONSTRAINT uq_journal_line_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

CREATE INDEX ix_journal_line_tenant_id_entity_book_period_account ON journal_line (tenant_id, entity, book, period, account);

ALTER TABLE journal_line ENABLE ROW LEVEL SECURITY;
ALTER TABLE journal_line FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON journal_line
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON journal_line TO revline_app;

CREATE TABLE lane (
    tenant_id TEXT NOT NULL,
    lane_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    kind_group TEXT DEFAULT '' NOT NULL,
    pool_id TEXT NOT NULL,
    priority SMALLINT NOT NULL,
    pending BIGINT NOT NULL,
    next_sequence BIGINT NOT NULL,
    requested BIGINT NOT NULL,
    read_through BIGINT NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    owner TEXT NOT NULL,
    fence BIGINT NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE,
    attempts INTEGER NOT NULL,
    parked_code TEXT NOT NULL,
    waiting BOOLEAN NOT NULL,
    call_id TEXT NOT NULL,
    CONSTRAINT pk_lane PRIMARY KEY (tenant_id, lane_id),
    CONSTRAINT ck_lane_pending CHECK (pending >= 0),
    CONSTRAINT ck_lane_requested CHECK (requested >= read_through),
    CONSTRAINT ck_lane_priority CHECK (priority IN (1, 5, 9))
)
 WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX ix_lane_due ON lane (kind, pool_id, tenant_id, kind_group, priority, due_at) WHERE (pending > 0 OR requested > read_through) AND parked_code = '';

CREATE INDEX ix_lane_owned ON lane (pool_id, lease_until) WHERE owner <> '';

CREATE INDEX ix_lane_parked ON lane (kind, parked_code, tenant_id) WHERE parked_code <> '';

CREATE INDEX ix_lane_waiting ON lane (tenant_id, lane_id) WHERE waiting;

GRANT SELECT, INSERT, UPDATE, DELETE ON lane TO revline_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON lane TO revline_control;

CREATE TABLE lane_item (
    tenant_id TEXT NOT NULL,
    archived BOOLEAN DEFAULT false NOT NULL,
    lane_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    subject TEXT NOT NULL,
    CONSTRAINT pk_lane_item PRIMARY KEY (tenant_id, lane_id, sequence, archived)
)
 PARTITION BY LIST (archived);

CREATE TABLE lane_item_live PARTITION OF lane_item FOR VALUES IN (false) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE lane_item_history PARTITION OF lane_item FOR VALUES IN (true);

ALTER TABLE lane_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE lane_item FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON lane_item
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);
ALTER TABLE lane_item_live ENABLE ROW LEVEL SECURITY;
ALTER TABLE lane_item_live FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON lane_item_live
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);
ALTER TABLE lane_item_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE lane_item_history FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON lane_item_history
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON lane_item TO revline_app;

CREATE TABLE login_request (
    state_digest BYTEA NOT NULL,
    nonce TEXT NOT NULL,
    verifier TEXT NOT NULL,
    return_to TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_login_request PRIMARY KEY (state_digest)
);

CREATE INDEX ix_login_request_created ON login_request (created_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON login_request TO revline_app;

CREATE TABLE login_window (
    subject_digest BYTEA NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    failures INTEGER NOT NULL,
    CONSTRAINT pk_login_window PRIMARY KEY (subject_digest)
);

CREATE INDEX ix_login_window_started ON login_window (started_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON login_window TO revline_app;

CREATE TABLE name (
    tenant_id TEXT NOT NULL,
    value TEXT NOT NULL,
    kind TEXT NOT NULL,
    record_kind TEXT NOT NULL,
    record_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_name PRIMARY KEY (tenant_id, value, kind, record_kind, record_id),
    CONSTRAINT ck_name_value CHECK (length(value) <= 255)
);

CREATE INDEX ix_name_tenant_id_record_kind_record_id ON name (tenant_id, record_kind, record_id);

ALTER TABLE name ENABLE ROW LEVEL SECURITY;
ALTER TABLE name FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON name
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON name TO revline_app;

CREATE TABLE open_item (
    tenant_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    entity TEXT NOT NULL,
    customer_id TEXT DEFAULT '' NOT NULL,
    currency TEXT NOT NULL,
    number TEXT DEFAULT '' NOT NULL,
    opened_on DATE NOT NULL,
    due_on DATE,
    CONSTRAINT pk_open_item PRIMARY KEY (tenant_id, item_id),
    CONSTRAINT ck_open_item_kind CHECK (kind IN ('invoice', 'payment', 'credit_memo', 'credit_movement', 'stated_event'))
);

CREATE INDEX ix_open_item_tenant_id_customer_id ON open_item (tenant_id, customer_id);

ALTER TABLE open_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE open_item FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON open_item
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON open_item TO revline_app;

CREATE TABLE open_item_movement (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    item_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    line INTEGER NOT NULL,
    entity TEXT NOT NULL,
    kind TEXT NOT NULL,
    owed NUMERIC NOT NULL,
    amount NUMERIC NOT NULL,
    currency TEXT NOT NULL,
    day DATE NOT NULL,
    counter_item_id TEXT DEFAULT '' NOT NULL,
    affects_receivable BOOLEAN NOT NULL,
    CONSTRAINT pk_open_item_movement PRIMARY KEY (tenant_id, event_id, line),
    CONSTRAINT ck_open_item_movement_kind CHECK (kind IN ('issued', 'voided', 'credited', 'written_off', 'reinstated', 'received', 'applied', 'refunded', 'remeasured')),
    CONSTRAINT uq_open_item_movement_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

CREATE INDEX ix_open_item_movement_tenant_id_item_id ON open_item_movement (tenant_id, item_id);

ALTER TABLE open_item_movement ENABLE ROW LEVEL SECURITY;
ALTER TABLE open_item_movement FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON open_item_movement
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON open_item_movement TO revline_app;

CREATE TABLE person (
    person_id TEXT NOT NULL,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE,
    disabled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_person PRIMARY KEY (person_id),
    CONSTRAINT ck_person_email CHECK (length(email) <= 254 AND email = lower(email)),
    CONSTRAINT ck_person_name CHECK (length(name) <= 200),
    CONSTRAINT uq_person_email UNIQUE (email)
);

CREATE UNIQUE INDEX ix_person_subject ON person (issuer, subject) WHERE subject <> '';

GRANT SELECT, INSERT, UPDATE, DELETE ON person TO revline_app;

CREATE TABLE person_grant (
    person_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    role TEXT NOT NULL,
    granted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    granted_by TEXT NOT NULL,
    CONSTRAINT pk_person_grant PRIMARY KEY (person_id, tenant_id, role),
    CONSTRAINT ck_person_grant_role CHECK (role IN ('administrator', 'operator', 'finance', 'auditor')),
    CONSTRAINT ck_person_grant_tenant_id CHECK (tenant_id = '*' OR tenant_id ~ '^[a-z][a-z0-9-]{0,38}$')
);

CREATE INDEX ix_person_grant_tenant ON person_grant (tenant_id, person_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON person_grant TO revline_app;

CREATE TABLE person_session (
    session_digest BYTEA NOT NULL,
    person_id TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_person_session PRIMARY KEY (session_digest),
    CONSTRAINT ck_person_session_session_digest CHECK (octet_length(session_digest) = 32)
);

CREATE INDEX ix_person_session_expires ON person_session (expires_at);

CREATE INDEX ix_person_session_person ON person_session (person_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON person_session TO revline_app;

CREATE TABLE pool_changed (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    pool_id TEXT NOT NULL,
    change_id BIGINT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL,
    digest BYTEA NOT NULL,
    CONSTRAINT pk_pool_changed PRIMARY KEY (tenant_id, position, ordinal)
);

ALTER TABLE pool_changed ENABLE ROW LEVEL SECURITY;
ALTER TABLE pool_changed FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON pool_changed
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON pool_changed TO revline_app;

CREATE TABLE process (
    process_id TEXT NOT NULL,
    role TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version TEXT NOT NULL,
    CONSTRAINT pk_process PRIMARY KEY (process_id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON process TO revline_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON process TO revline_control;

CREATE TABLE reprocess_request (
    tenant_id TEXT NOT NULL,
    root_id TEXT NOT NULL,
    state TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_reprocess_request PRIMARY KEY (tenant_id, root_id),
    CONSTRAINT ck_reprocess_request_state CHECK (state IN ('asked', 'done', 'refused'))
);

ALTER TABLE reprocess_request ENABLE ROW LEVEL SECURITY;
ALTER TABLE reprocess_request FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON reprocess_request
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON reprocess_request TO revline_app;

CREATE TABLE reread (
    tenant_id TEXT NOT NULL,
    reread_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    kind TEXT NOT NULL,
    outside_id TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    state TEXT NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deadline TIMESTAMP WITH TIME ZONE NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_reread PRIMARY KEY (tenant_id, reread_id),
    CONSTRAINT ck_reread_state CHECK (state IN ('asked', 'overdue', 'read', 'kept', 'gone', 'refused'))
);

CREATE INDEX ix_reread_deadline ON reread (tenant_id, state, deadline);

CREATE INDEX ix_reread_object ON reread (tenant_id, connection, kind, outside_id);

ALTER TABLE reread ENABLE ROW LEVEL SECURITY;
ALTER TABLE reread FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON reread
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON reread TO revline_app;

CREATE TABLE root (
    tenant_id TEXT NOT NULL,
    root_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    kind TEXT NOT NULL,
    outside_id TEXT NOT NULL,
    CONSTRAINT pk_root PRIMARY KEY (tenant_id, root_id)
);

ALTER TABLE root ENABLE ROW LEVEL SECURITY;
ALTER TABLE root FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON root
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON root TO revline_app;

CREATE TABLE seen_event (
    tenant_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    source_event TEXT NOT NULL,
    content_digest BYTEA NOT NULL,
    subject_id TEXT NOT NULL,
    CONSTRAINT pk_seen_event PRIMARY KEY (tenant_id, connection, source_event)
);

ALTER TABLE seen_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE seen_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON seen_event
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON seen_event TO revline_app;

CREATE TABLE source_cursor (
    tenant_id TEXT NOT NULL,
    cursor_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    purpose TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    cursor TEXT NOT NULL,
    state TEXT NOT NULL,
    pages BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    taken BIGINT NOT NULL,
    duplicates BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    source_total BIGINT,
    totals TEXT NOT NULL,
    whole BOOLEAN NOT NULL,
    started_position BIGINT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_page_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    problem_code TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_source_cursor PRIMARY KEY (tenant_id, cursor_id),
    CONSTRAINT ck_source_cursor_purpose CHECK (purpose IN ('backfill', 'changes')),
    CONSTRAINT ck_source_cursor_state CHECK (state IN ('asked', 'running', 'finished', 'following', 'stopped'))
);

CREATE INDEX ix_source_cursor_connection ON source_cursor (tenant_id, connection, purpose, object_kind);

ALTER TABLE source_cursor ENABLE ROW LEVEL SECURITY;
ALTER TABLE source_cursor FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON source_cursor
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON source_cursor TO revline_app;

CREATE TABLE tenant (
    tenant_id TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_tenant PRIMARY KEY (tenant_id),
    CONSTRAINT ck_tenant_tenant_id CHECK (tenant_id ~ '^[a-z][a-z0-9-]{0,38}$'),
    CONSTRAINT ck_tenant_state CHECK (state IN ('active', 'closed'))
);

GRANT SELECT, INSERT, UPDATE, DELETE ON tenant TO revline_app;
GRANT SELECT ON tenant TO revline_control;

CREATE TABLE tenant_data_key (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    wrapping INTEGER NOT NULL,
    wrapped_under TEXT NOT NULL,
    wrapped BYTEA NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_tenant_data_key PRIMARY KEY (tenant_id, key_id, wrapping),
    CONSTRAINT ck_tenant_data_key_numbers CHECK (key_id >= 0 AND wrapping >= 1),
    CONSTRAINT ck_tenant_data_key_wrapped CHECK (octet_length(wrapped) <= 1024),
    CONSTRAINT uq_tenant_data_key_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

ALTER TABLE tenant_data_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_data_key FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON tenant_data_key
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON tenant_data_key TO revline_app;

CREATE TABLE tenant_ring (
    kind TEXT NOT NULL,
    pool_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    kind_group TEXT NOT NULL,
    priority SMALLINT NOT NULL,
    turn_at TIMESTAMP WITH TIME ZONE NOT NULL,
    served_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_tenant_ring PRIMARY KEY (kind, pool_id, tenant_id, kind_group, priority)
)
 WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX ix_tenant_ring_turn ON tenant_ring (kind, priority, turn_at, tenant_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_ring TO revline_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_ring TO revline_control;

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
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON unit TO revline_app;

CREATE TABLE untranslated (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    untranslated_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    form TEXT NOT NULL,
    body_digest BYTEA NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    code TEXT NOT NULL,
    content TEXT NOT NULL,
    CONSTRAINT pk_untranslated PRIMARY KEY (tenant_id, untranslated_id),
    CONSTRAINT ck_untranslated_form CHECK (form IN ('message', 'object')),
    CONSTRAINT uq_untranslated_tenant_id_position_ordinal UNIQUE (tenant_id, position, ordinal)
);

CREATE INDEX ix_untranslated_connection ON untranslated (tenant_id, connection, code);

ALTER TABLE untranslated ENABLE ROW LEVEL SECURITY;
ALTER TABLE untranslated FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON untranslated
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON untranslated TO revline_app;

CREATE TABLE usage_billed_line (
    tenant_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    invoice TEXT NOT NULL,
    line TEXT NOT NULL,
    customer TEXT NOT NULL,
    customer_root TEXT NOT NULL,
    price TEXT NOT NULL,
    window_start TIMESTAMP WITH TIME ZONE NOT NULL,
    window_end TIMESTAMP WITH TIME ZONE NOT NULL,
    currency TEXT NOT NULL,
    quantity NUMERIC(38, 12) NOT NULL,
    unit_price NUMERIC(38, 12) NOT NULL,
    amount NUMERIC(38, 12) NOT NULL,
    billed_on DATE NOT NULL,
    charge TEXT NOT NULL,
    accrued TEXT NOT NULL,
    live BOOLEAN NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_usage_billed_line PRIMARY KEY (tenant_id, connection, invoice, line)
);

CREATE INDEX ix_usage_billed_line_customer ON usage_billed_line (tenant_id, customer_root, window_end);

ALTER TABLE usage_billed_line ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_billed_line FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_billed_line
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON usage_billed_line TO revline_app;

CREATE TABLE usage_decision (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    revision INTEGER NOT NULL,
    closed_through DATE,
    CONSTRAINT pk_usage_decision PRIMARY KEY (tenant_id, position, ordinal),
    CONSTRAINT ck_usage_decision_kind CHECK (kind IN ('close_period', 'close_books', 'approve', 'refuse'))
);

CREATE INDEX ix_usage_decision_subject ON usage_decision (tenant_id, kind, subject);

ALTER TABLE usage_decision ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_decision FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_decision
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON usage_decision TO revline_app;

CREATE TABLE usage_erasure (
    tenant_id TEXT NOT NULL,
    erasure_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    state TEXT NOT NULL,
    scope TEXT NOT NULL,
    proof BYTEA NOT NULL,
    rows BIGINT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    done_at TIMESTAMP WITH TIME ZONE,
    position BIGINT NOT NULL,
    CONSTRAINT pk_usage_erasure PRIMARY KEY (tenant_id, erasure_id),
    CONSTRAINT ck_usage_erasure_state CHECK (state IN ('asked', 'done'))
);

ALTER TABLE usage_erasure ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_erasure FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_erasure
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON usage_erasure TO revline_app;

CREATE TABLE usage_finding (
    tenant_id TEXT NOT NULL,
    finding_id TEXT NOT NULL,
    customer_root TEXT NOT NULL,
    connection TEXT NOT NULL,
    customer TEXT NOT NULL,
    price TEXT NOT NULL,
    window_start TIMESTAMP WITH TIME ZONE NOT NULL,
    window_end TIMESTAMP WITH TIME ZONE NOT NULL,
    entity TEXT NOT NULL,
    product_family TEXT NOT NULL,
    currency TEXT NOT NULL,
    expected_quantity NUMERIC(38, 12) NOT NULL,
    expected_amount NUMERIC(38, 12) NOT NULL,
    billed_quantity NUMERIC(38, 12) NOT NULL,
    billed_amount NUMERIC(38, 12) NOT NULL,
    difference NUMERIC(38, 12) NOT NULL,
    direction TEXT NOT NULL,
    cause TEXT NOT NULL,
    tolerated BOOLEAN NOT NULL,
    content BYTEA NOT NULL,
    first_quantity NUMERIC(38, 12),
    first_amount NUMERIC(38, 12),
    compared_at TIMESTAMP WITH TIME ZONE NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_usage_finding PRIMARY KEY (tenant_id, finding_id),
    CONSTRAINT ck_usage_finding_direction CHECK (direction IN ('equal', 'leakage', 'overbilled'))
);

CREATE INDEX ix_usage_finding_customer ON usage_finding (tenant_id, customer_root);

CREATE INDEX ix_usage_finding_window ON usage_finding (tenant_id, window_end, finding_id);

ALTER TABLE usage_finding ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_finding FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_finding
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON usage_finding TO revline_app;

CREATE TABLE usage_period (
    tenant_id TEXT NOT NULL,
    period_id TEXT NOT NULL,
    lane_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    customer TEXT NOT NULL,
    entity TEXT NOT NULL,
    start_at TIMESTAMP WITH TIME ZONE NOT NULL,
    end_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL,
    look_at TIMESTAMP WITH TIME ZONE,
    usage_version TEXT NOT NULL,
    configuration_version INTEGER NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE,
    position BIGINT NOT NULL,
    CONSTRAINT pk_usage_period PRIMARY KEY (tenant_id, period_id),
    CONSTRAINT ck_usage_period_state CHECK (state IN ('open', 'closed'))
);

CREATE INDEX ix_usage_period_customer ON usage_period (tenant_id, connection, customer, start_at);

CREATE INDEX ix_usage_period_lane ON usage_period (tenant_id, lane_id, start_at);

CREATE INDEX ix_usage_period_look ON usage_period (tenant_id, look_at);

ALTER TABLE usage_period ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_period FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_period
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON usage_period TO revline_app;

CREATE TABLE usage_published (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    act TEXT NOT NULL,
    added TEXT NOT NULL,
    replaced TEXT NOT NULL,
    rows_added BIGINT NOT NULL,
    rows_replaced BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_usage_published PRIMARY KEY (tenant_id, position, ordinal),
    CONSTRAINT ck_usage_published_act CHECK (act IN ('seal', 'compact', 'erase', 'retain', 'adopt', 'partials'))
);

ALTER TABLE usage_published ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_published FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_published
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON usage_published TO revline_app;

CREATE TABLE usage_seal_request (
    tenant_id TEXT NOT NULL,
    asked BIGINT NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_usage_seal_request PRIMARY KEY (tenant_id),
    CONSTRAINT ck_usage_seal_request_tenant_id CHECK (tenant_id ~ '^[a-z][a-z0-9-]{0,38}$')
);

GRANT SELECT, INSERT, UPDATE, DELETE ON usage_seal_request TO revline_app;
GRANT SELECT ON usage_seal_request TO revline_control;

CREATE TABLE usage_sealed (
    tenant_id TEXT NOT NULL,
    shard INTEGER NOT NULL,
    through BIGINT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_usage_sealed PRIMARY KEY (tenant_id, shard)
);

ALTER TABLE usage_sealed ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_sealed FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_sealed
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON usage_sealed TO revline_app;

CREATE TABLE usage_segment (
    tenant_id TEXT NOT NULL,
    segment_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    rows BIGINT NOT NULL,
    first_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE NOT NULL,
    size_bytes BIGINT NOT NULL,
    body JSONB NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_usage_segment PRIMARY KEY (tenant_id, segment_id),
    CONSTRAINT ck_usage_segment_kind CHECK (kind IN ('sealed', 'compacted', 'adopted')),
    CONSTRAINT ck_usage_segment_state CHECK (state IN ('live', 'replaced'))
);

CREATE INDEX ix_usage_segment_live ON usage_segment (tenant_id, last_at) WHERE state = 'live';

CREATE INDEX ix_usage_segment_replaced ON usage_segment (tenant_id, changed_at) WHERE state = 'replaced';

ALTER TABLE usage_segment ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_segment FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_segment
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON usage_segment TO revline_app;

CREATE TABLE usage_subject_mapping (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    subject TEXT NOT NULL,
    subject_connection TEXT NOT NULL,
    customer_connection TEXT NOT NULL,
    customer_outside_id TEXT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE,
    ends_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_usage_subject_mapping PRIMARY KEY (tenant_id, position, ordinal)
);

CREATE INDEX ix_usage_subject_mapping_subject ON usage_subject_mapping (tenant_id, subject);

ALTER TABLE usage_subject_mapping ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_subject_mapping FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_subject_mapping
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON usage_subject_mapping TO revline_app;

CREATE TABLE usage_tick (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    usage_version TEXT NOT NULL,
    as_of TIMESTAMP WITH TIME ZONE NOT NULL,
    configuration_version INTEGER NOT NULL,
    read_position BIGINT NOT NULL,
    touched INTEGER NOT NULL,
    CONSTRAINT pk_usage_tick PRIMARY KEY (tenant_id, position, ordinal)
);

ALTER TABLE usage_tick ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_tick FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_tick
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT ON usage_tick TO revline_app;

CREATE TABLE usage_told (
    tenant_id TEXT NOT NULL,
    target_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    customer_root TEXT NOT NULL,
    price TEXT NOT NULL,
    window_start TIMESTAMP WITH TIME ZONE NOT NULL,
    window_end TIMESTAMP WITH TIME ZONE NOT NULL,
    told NUMERIC(38, 12) NOT NULL,
    ordinal INTEGER NOT NULL,
    first_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE NOT NULL,
    told_at TIMESTAMP WITH TIME ZONE NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_usage_told PRIMARY KEY (tenant_id, target_id)
);

CREATE INDEX ix_usage_told_customer ON usage_told (tenant_id, customer_root);

ALTER TABLE usage_told ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_told FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_told
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON usage_told TO revline_app;

CREATE TABLE usage_touch (
    tenant_id TEXT NOT NULL,
    lane_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    customer TEXT NOT NULL,
    start_at TIMESTAMP WITH TIME ZONE NOT NULL,
    end_at TIMESTAMP WITH TIME ZONE NOT NULL,
    meter TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_usage_touch PRIMARY KEY (tenant_id, lane_id, connection, customer, start_at, end_at, meter)
);

ALTER TABLE usage_touch ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_touch FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON usage_touch
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON usage_touch TO revline_app;

CREATE TABLE wait (
    tenant_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    predecessor_id TEXT NOT NULL,
    lane_id TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    for_record BOOLEAN NOT NULL,
    CONSTRAINT pk_wait PRIMARY KEY (tenant_id, document_id, predecessor_id)
)
 WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX ix_wait_predecessor ON wait (tenant_id, predecessor_id);

ALTER TABLE wait ENABLE ROW LEVEL SECURITY;
ALTER TABLE wait FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_wall ON wait
    USING (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0)
    WITH CHECK (strpos(current_setting('revline.tenants', true), ',' || tenant_id || ',') > 0);

GRANT SELECT, INSERT, UPDATE, DELETE ON wait TO revline_app;

CREATE TABLE webhook_address (
    address_digest BYTEA NOT NULL,
    tenant_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_webhook_address PRIMARY KEY (address_digest)
);

CREATE INDEX ix_webhook_address_connection ON webhook_address (tenant_id, connection);

GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_address TO revline_app;
GRANT SELECT ON webhook_address TO revline_control;
