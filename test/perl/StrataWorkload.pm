# A seeded random workload: statements that touch everything that WAL can say, as scripts for psql, one for each client.
#
# Statements may fail (a table is gone, a lock is not had in time); what matters is what they leave in WAL. The same seed
# gives the same scripts; with several clients the server interleaves them as it likes.
package StrataWorkload;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT = qw(workload_conf prepare_workload workload_scripts run_scripts);

# Settings that the workload needs beside those of every node.
sub workload_conf
{
	return (
		max_connections => 40,
		max_prepared_transactions => 20,
		shared_buffers => "'16MB'",
		max_wal_size => "'10GB'",
		wal_keep_size => "'20GB'",
		checkpoint_timeout => "'1h'",
		deadlock_timeout => "'50ms'",
		allow_in_place_tablespaces => 'on',
		log_statement => 'none',
		'strata.memtable_size' => "'8MB'");
}

# What all clients share. REQUIRES: the extension strata in template1.
sub prepare_workload
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION bloom;
CREATE SCHEMA shared;
CREATE TABLE shared.locked (id int PRIMARY KEY, n int) WITH (fillfactor = 50);
INSERT INTO shared.locked SELECT i, 0 FROM generate_series(1, 200) i;
CREATE TABLE shared.parent (id int PRIMARY KEY);
INSERT INTO shared.parent SELECT generate_series(1, 50);
CREATE TABLE shared.child (id int, parent int REFERENCES shared.parent);
CREATE SEQUENCE shared.numbers;
SQL
	return;
}

my ($client, $ops, @out, @prepared, $serial, %databases, @tablespaces);

sub pick { return $_[ int rand @_ ]; }
sub between { my ($low, $high) = @_; return $low + int rand($high - $low + 1); }
sub table { return "c$client.t" . between(1, 6); }

sub emit { push @out, map { /^\\/ ? $_ : "$_;" } @_; return; }

sub columns
{
	return 'id int, grp int, val text, big text, arr int[], p point, r int4range, j jsonb';
}

sub rows
{
	my ($count) = @_;
	my $start = between(1, 100000);
	my $big = pick(
		"repeat('x', i % 50)", "(SELECT string_agg(md5((i * k)::text), '') FROM generate_series(1, " . between(1, 120) . ') k)', "'short'");
	return "SELECT i, i % 17, md5(i::text), $big, ARRAY[i % 100, i % 7], point(i % 100, i % 77), "
	  . "int4range(i, i + 10), jsonb_build_object('k', i % 50, md5((i % 30)::text), i) FROM generate_series($start, "
	  . ($start + $count) . ') i';
}

sub index_on
{
	my ($table, $concurrently) = @_;
	my $how = pick(
		'btree (id)', 'btree (val, id)', 'btree (grp) WITH (deduplicate_items = on)', 'hash (val)', 'hash (id)',
		'gin (arr)', 'gin (j) WITH (fastupdate = off)', 'gin (j jsonb_path_ops)', 'gist (p)', 'gist (r)', 'spgist (p)',
		'spgist (val)', 'spgist (r)', 'brin (id) WITH (pages_per_range = 2, autosummarize = off)',
		'brin (r range_inclusion_ops) WITH (pages_per_range = 1)', 'bloom (id, grp)', 'btree ((id % 10)) WHERE grp > 3');
	return 'CREATE INDEX ' . ($concurrently ? 'CONCURRENTLY ' : '') . "ON $table USING $how";
}

# Statements that a transaction may hold.
sub inside
{
	my $t = table();
	my $some = 'id BETWEEN ' . join(' AND ', sort { $a <=> $b } between(1, 100000), between(1, 100000));
	my @choices = (
		[ 30, sub { emit("INSERT INTO $t " . rows(pick(1, 5, 50, 300))) } ],
		[ 15, sub { emit("UPDATE $t SET grp = grp + 1, val = val || 'x' WHERE $some") } ],
		[ 6, sub { emit("UPDATE $t SET arr = arr || id, p = point(id % 50, 3), j = j || '{\"u\": 1}', r = int4range(id, id + 99) WHERE $some AND id % 5 = 0") } ],
		[ 5, sub { emit("UPDATE $t SET big = (SELECT string_agg(md5((id * k)::text), '') FROM generate_series(1, 200) k) WHERE $some AND id % 20 = 0") } ],
		[ 12, sub { emit("DELETE FROM $t WHERE $some AND id % " . between(1, 4) . ' = 0') } ],
		[ 4, sub { emit("DROP TABLE IF EXISTS $t CASCADE", create_table($t)) } ],
		[ 4, sub { emit("TRUNCATE $t") } ],
		[ 6, sub { emit(index_on($t, 0)) } ],
		[ 3, sub { emit("ALTER TABLE $t ADD c" . between(1, 999) . ' ' . pick('int', "text DEFAULT 'd'", 'float8 DEFAULT random()', 'timestamptz DEFAULT now()')) } ],
		[ 3, sub { emit("ALTER TABLE $t ALTER grp TYPE " . pick('bigint', 'int', 'numeric')) } ],
		[ 2, sub { emit("ALTER TABLE $t ALTER big SET STORAGE " . pick('external', 'main', 'extended', 'plain')) } ],
		[ 2, sub { emit("CLUSTER $t USING " . (split /\./, $t)[1] . '_id_idx') } ],
		[ 2, sub { emit("REINDEX TABLE $t") } ],
		[ 3, sub { emit("SELECT count(*) FROM $t WHERE grp > 2") } ],
		[ 8, sub { emit("SELECT id FROM shared.locked WHERE id % 20 = " . between(0, 19) . ' FOR ' . pick('KEY SHARE', 'SHARE', 'NO KEY UPDATE', 'UPDATE') . ' SKIP LOCKED') } ],
		[ 5, sub { my $k = between(1, 200); emit("SELECT id FROM shared.locked WHERE id = $k FOR KEY SHARE", 'SAVEPOINT m', "UPDATE shared.locked SET n = n + 1 WHERE id = $k", pick('ROLLBACK TO m', 'RELEASE m'), "SELECT id FROM shared.locked WHERE id = $k FOR SHARE") } ],
		[ 4, sub { emit('INSERT INTO shared.child VALUES (' . between(1, 1000) . ', ' . between(1, 50) . ')') } ],
		[ 2, sub { emit('DELETE FROM shared.parent WHERE id = ' . between(1, 50), 'INSERT INTO shared.parent VALUES (' . between(1, 50) . ') ON CONFLICT DO NOTHING') } ],
		[ 4, sub { emit(many_subtransactions($t)) } ],
		[ 5, sub { emit('SAVEPOINT s', "UPDATE $t SET val = 'saved' WHERE id % 3 = 0", pick("DROP TABLE $t", "TRUNCATE $t", index_on($t, 0)), pick('ROLLBACK TO s', 'RELEASE s')) } ],
		[ 3, sub { emit("SELECT nextval('shared.numbers') FROM generate_series(1, " . between(1, 50) . ')') } ],
		[ 1, sub { emit("SELECT setval('shared.numbers', " . between(1, 1000) . ')') } ],
		[ 1, sub { emit('ALTER SEQUENCE shared.numbers ' . pick('RESTART', 'INCREMENT 2', 'CACHE 5')) } ],
		[ 3, sub { emit("DROP MATERIALIZED VIEW IF EXISTS c$client.m", "CREATE MATERIALIZED VIEW c$client.m AS SELECT * FROM $t") } ],
		[ 3, sub { emit("REFRESH MATERIALIZED VIEW c$client.m") } ],
		[ 3, sub { emit("DROP TABLE IF EXISTS c$client.u", "CREATE " . pick('UNLOGGED ', '') . "TABLE c$client.u (a serial PRIMARY KEY, b text)", "INSERT INTO c$client.u (b) SELECT repeat('u', i) FROM generate_series(1, 100) i") } ],
		[ 2, sub { emit("ALTER TABLE c$client.u SET " . pick('LOGGED', 'UNLOGGED')) } ],
		[ 4, sub { emit(partitions()) } ],
		[ 2, sub { emit("COMMENT ON TABLE $t IS 'comment " . ++$serial . "'") } ],
		[ 2, sub { emit("CREATE ROLE r${client}_" . between(1, 5), "GRANT SELECT, INSERT ON $t TO r${client}_" . between(1, 5)) } ],
		[ 1, sub { emit("REVOKE ALL ON $t FROM r${client}_" . between(1, 5)) } ],
		[ 1, sub { my $r = "r${client}_" . between(1, 5); emit("DROP OWNED BY $r", "DROP ROLE $r") } ],
		[ 1, sub { emit("ALTER ROLE r${client}_" . between(1, 5) . ' SET work_mem = ' . between(100, 9999)) } ],
		[ 1, sub { emit("CREATE OR REPLACE FUNCTION c$client.f() RETURNS int LANGUAGE sql AS 'SELECT " . ++$serial . "'") } ],
		[ 1, sub { emit("SELECT lo_from_bytea(0, decode(repeat('ab', " . between(1, 6000) . "), 'hex'))") } ],
		[ 1, sub { emit("SELECT pg_logical_emit_message(" . pick('true', 'false') . ", 'p', 'm')") } ],
		[ 1, sub { emit("CREATE TEMP TABLE tmp_" . ++$serial . " ON COMMIT DROP AS SELECT 1 AS a") } ],
		[ 2, sub { emit("ALTER TABLE $t SET TABLESPACE " . pick('pg_default', @tablespaces)) } ],
		[ 2, sub { emit("COPY $t (id, val) FROM PROGRAM 'seq 1 " . between(10, 2000) . " | sed s/\$/,c/' (FORMAT csv" . pick('', ', FREEZE') . ')') } ],
		[ 1, sub { emit("ANALYZE $t") } ],
		[ 1, sub { emit("MERGE INTO $t m USING (SELECT generate_series(1, 100) AS id) s ON m.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)") } ]);
	choose(@choices);
	return;
}

sub create_table
{
	my ($t) = @_;
	return ("CREATE TABLE $t (" . columns() . ')' . pick('', ' WITH (fillfactor = 60)', ' WITH (toast_tuple_target = 200)'),
		"CREATE INDEX ON $t (id)", "INSERT INTO $t " . rows(between(1, 200)));
}

sub many_subtransactions
{
	my ($t) = @_;
	my $count = pick(10, 70, 150);
	return "DO \$\$ BEGIN FOR i IN 1..$count LOOP BEGIN INSERT INTO $t (id, val) VALUES (i, 'sub'); "
	  . "IF i % 7 = 0 THEN RAISE EXCEPTION 'rolled back'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END \$\$";
}

sub partitions
{
	my $p = "c$client.p";
	return pick(
		[ "DROP TABLE IF EXISTS $p CASCADE", "CREATE TABLE $p (id int, val text) PARTITION BY RANGE (id)", "CREATE TABLE ${p}1 PARTITION OF $p FOR VALUES FROM (0) TO (1000)", "CREATE INDEX ON $p (id)" ],
		[ "INSERT INTO $p SELECT i, 'p' FROM generate_series(1, 900) i" ],
		[ "ALTER TABLE $p DETACH PARTITION ${p}1" ], [ "ALTER TABLE $p ATTACH PARTITION ${p}1 FOR VALUES FROM (0) TO (1000)" ],
		[ "CREATE TABLE ${p}2 PARTITION OF $p FOR VALUES FROM (1000) TO (2000) PARTITION BY HASH (id)", "CREATE TABLE ${p}21 PARTITION OF ${p}2 FOR VALUES WITH (MODULUS 1, REMAINDER 0)" ],
		[ "UPDATE $p SET id = id + 500 WHERE id < 700" ])->@*;
}

# Statements that refuse to run inside a transaction.
sub outside
{
	my $t = table();
	choose(
		[ 10, sub { emit("VACUUM $t") } ],
		[ 5, sub { emit("VACUUM (FREEZE, ANALYZE) $t") } ],
		[ 3, sub { emit("VACUUM FULL $t") } ],
		[ 3, sub { emit("VACUUM (DISABLE_PAGE_SKIPPING, INDEX_CLEANUP on, TRUNCATE on) $t") } ],
		[ 2, sub { emit('VACUUM (FREEZE) shared.locked') } ],
		[ 2, sub { emit('VACUUM ' . pick('', 'FULL ', '(FREEZE) ') . pick(qw(pg_class pg_attribute pg_type pg_depend pg_proc pg_database pg_authid pg_shdepend))) } ],
		[ 2, sub { emit(pick('REINDEX TABLE ', 'REINDEX TABLE CONCURRENTLY ') . $t) } ],
		[ 1, sub { emit('REINDEX TABLE ' . pick(qw(pg_class pg_attribute pg_index pg_database pg_proc))) } ],
		[ 3, sub { emit(index_on($t, 1)) } ],
		[ 2, sub { emit("DELETE FROM $t WHERE id > " . between(1, 90000), "VACUUM (TRUNCATE) $t", "INSERT INTO $t " . rows(300)) } ],
		[ 2, sub { emit("SELECT brin_summarize_new_values(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = '$t'::regclass AND relam = (SELECT oid FROM pg_am WHERE amname = 'brin')") } ],
		[ 2, sub { emit("SELECT gin_clean_pending_list(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = '$t'::regclass AND relam = (SELECT oid FROM pg_am WHERE amname = 'gin')") } ],
		[ 3, sub { emit('CHECKPOINT') } ],
		[ 1, sub { emit('SELECT pg_switch_wal()') } ],
		[ 1, sub { emit('SELECT pg_log_standby_snapshot()') } ],
		[ 1, sub { emit("SELECT pg_create_restore_point('r')") } ]);
	return;
}

# Whole databases and tablespaces: the first client's alone.
sub cluster_wide
{
	my @names = sort keys %databases;
	my @choices = (
		[ 3, sub { my $d = 'db' . ++$serial; my $from = pick('template1', @names); emit("CREATE DATABASE $d TEMPLATE $from STRATEGY " . pick('wal_log', 'file_copy')); $databases{$d} = 1 } ],
		[ 2, sub { my $s = 'space' . ++$serial; emit("CREATE TABLESPACE $s LOCATION ''"); push @tablespaces, $s } ],
		[ 1, sub { emit('DROP TABLESPACE ' . pick(@tablespaces)) } ]);
	if (@names)
	{
		my $d = pick(@names);
		my $n = ++$serial;
		push @choices,
		  [ 6, sub { emit("\\c $d", "CREATE TABLE made$n (a int PRIMARY KEY, b text)", "INSERT INTO made$n SELECT i, repeat('b', 50) FROM generate_series(1, 500) i", pick("VACUUM made$n", "DELETE FROM made$n WHERE a % 2 = 0", "VACUUM FREEZE", "VACUUM FULL pg_class", "DROP TABLE made$n", "ALTER TABLE made$n SET TABLESPACE " . pick('pg_default', @tablespaces)), '\c postgres') } ],
		  [ 2, sub { emit("ALTER DATABASE $d SET TABLESPACE " . pick('pg_default', @tablespaces)) } ],
		  [ 1, sub { emit("DROP DATABASE $d WITH (FORCE)"); delete $databases{$d} } ],
		  [ 1, sub { emit("ALTER DATABASE $d SET work_mem = " . between(64, 9999)) } ];
	}
	choose(@choices);
	return;
}

sub choose
{
	my $total = 0;
	$total += $_->[0] for @_;
	my $at = rand $total;
	for my $choice (@_)
	{
		$at -= $choice->[0];
		return $choice->[1]->() if $at < 0;
	}
	return;
}

sub transaction
{
	emit('BEGIN');
	inside() for 1 .. between(1, 6);
	my $end = rand;
	if ($end < 0.6) { emit('COMMIT') }
	elsif ($end < 0.8) { emit('ROLLBACK') }
	else
	{
		my $name = "g${client}_" . ++$serial;
		emit("PREPARE TRANSACTION '$name'");
		push @prepared, $name;
	}
	return;
}

sub finish_prepared
{
	my ($name) = splice(@prepared, int rand @prepared, 1);
	emit(pick('COMMIT', 'ROLLBACK') . " PREPARED '$name'");
	return;
}

sub script
{
	@out = ('\set ON_ERROR_STOP off');
	@prepared = ();
	$serial = 0;
	emit("CREATE SCHEMA c$client");
	emit(create_table("c$client.t$_")) for 1 .. 6;
	for (1 .. $ops)
	{
		my $r = rand;
		if (@prepared && rand() < 0.25) { finish_prepared() }
		elsif ($client == 1 && $r < 0.12) { cluster_wide() }
		elsif ($r < 0.40) { transaction() }
		elsif ($r < 0.62) { outside() }
		else { inside() }
	}
	# Some transactions stay prepared, so that points near the end have them too.
	finish_prepared() while @prepared > 1;
	return join("\n", @out) . "\n";
}

# The scripts of `clients` clients with `operations` steps each.
sub workload_scripts
{
	my ($seed, $clients, $operations) = @_;
	my @scripts;
	@tablespaces = ('pg_default');
	%databases = ();
	$ops = $operations;
	for my $number (1 .. $clients)
	{
		$client = $number;
		srand($seed * 1000 + $client);
		push @scripts, script();
	}
	return @scripts;
}

# Runs scripts at the same time, each in a psql of its own, and waits for all.
sub run_scripts
{
	my ($node, @scripts) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir;
	local $ENV{PGOPTIONS} = '-c lock_timeout=300ms -c statement_timeout=20s';
	my @runs;
	my $number = 0;
	for my $script (@scripts)
	{
		my $file = "$dir/script_" . ++$number . '.sql';
		append_to_file($file, $script);
		push @runs, IPC::Run::start([ 'psql', '-Xqt', '-d', $node->connstr('postgres'), '-f', $file ], '<', \undef, '>', "$file.out", '2>', "$file.err");
	}
	$_->finish for @runs;
	return;
}

1;
