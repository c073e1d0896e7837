# What a travelling session says of itself to clients: a read-only server that stands still at its moment. Every way to ask
# gives the same answer, and what tools for standbys ask is answered. Locks of access methods are granted.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('answers', wal_level => 'logical');
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION strata;
CREATE TABLE t (a int PRIMARY KEY);
GRANT SELECT ON t TO PUBLIC;
INSERT INTO t VALUES (1);
CREATE FUNCTION lock(regclass, int, int) RETURNS bool AS '$ENV{STRATA_TEST_LIBRARIES}/strata_test_locks', 'strata_test_lock' LANGUAGE c;
CREATE ROLE watcher LOGIN;
GRANT pg_monitor TO watcher;
GRANT SET ON PARAMETER strata.travel_time TO watcher;
BEGIN;
INSERT INTO t VALUES (2);
PREPARE TRANSACTION 'half';
SQL
my $then = now_in($node);
$node->safe_psql('postgres', "COMMIT PREPARED 'half'; INSERT INTO t VALUES (3)");

# libpq stays where the server is of the kind that was asked for.
my %stays = (any => [ 1, 1 ], 'read-write' => [ 1, 0 ], 'read-only' => [ 0, 1 ], primary => [ 1, 0 ], standby => [ 0, 1 ], 'prefer-standby' => [ 1, 1 ]);
my $target = sub {
	my ($attrs, $options) = @_;
	local $ENV{PGOPTIONS} = $options;
	my ($out, $error);
	return run_log([ 'psql', '-X', '-A', '-t', '-d', $node->connstr('postgres') . " target_session_attrs=$attrs", '-c', 'SELECT 1' ], '>', \$out, '2>', \$error) ? 1 : 0;
};
$node->safe_psql('postgres', "ALTER ROLE watcher SET strata.travel_time = '$then'");
for my $attrs (sort keys %stays)
{
	is($target->($attrs, ''), $stays{$attrs}[0], "target_session_attrs = $attrs in the present");
	is($target->($attrs, pgoptions($then)), $stays{$attrs}[1], "target_session_attrs = $attrs at a moment given at connection");
	local $ENV{PGUSER} = 'watcher';
	is($target->($attrs, ''), $stays{$attrs}[1], "target_session_attrs = $attrs at a moment stored for the role");
}
$node->safe_psql('postgres', 'ALTER ROLE watcher RESET ALL');

# What drivers ask instead follows every switch.
my $ask = "SELECT pg_is_in_recovery(); SHOW in_hot_standby; SHOW transaction_read_only;";
my ($out, $error) = try_sql($node, "$ask SET strata.travel_time = '$then'; $ask SET strata.travel_time = ''; $ask BEGIN; SET LOCAL strata.travel_time = '$then'; $ask COMMIT; $ask");
is($out, join("\n", map { $_ ? "t\non\non" : "f\noff\noff" } 0, 1, 0, 1, 0), 'functions and settings agree at every step');
($out, $error) = try_sql($node, "SET strata.travel_time = '$then'; SET transaction_read_only = off; BEGIN READ WRITE; SELECT 1;");
like($error, qr/cannot set transaction read-write mode while travelling in time/, 'no transaction of the past is read-write');

# What the server reports to the client, as poolers see it.
{
	my $socket = $node->raw_connect();
	my %reported;
	my $read = sub {
		my ($length) = @_;
		my $bytes = '';
		while (length $bytes < $length) { sysread($socket, $bytes, $length - length $bytes, length $bytes) or die "the server has gone: $!"; }
		return $bytes;
	};
	my $until_ready = sub {
		for (;;)
		{
			my ($type, $length) = unpack('a N', $read->(5));
			my $body = $read->($length - 4);
			if ($type eq 'S') { my ($name, $value) = split /\0/, $body, -1; $reported{$name} = $value; }
			die $body if $type eq 'E';
			return if $type eq 'Z';
		}
	};
	my $send = sub { my ($sql) = @_; syswrite($socket, pack('a N', 'Q', 5 + length $sql) . "$sql\0"); $until_ready->(); return; };
	my $user = $node->safe_psql('postgres', 'SELECT current_user');
	my $packet = pack('N', 196608) . join('', map { "$_\0" } 'user', $user, 'database', 'postgres', 'options', pgoptions($then)) . "\0";
	syswrite($socket, pack('N', 4 + length $packet) . $packet);
	$until_ready->();
	my $resolved = $node->safe_psql('postgres', "SELECT timestamptz '$then'");
	is("$reported{'strata.travel_time'}|$reported{'strata.travel_lsn'}|$reported{in_hot_standby}", "$resolved||on", 'the moment of a connection is reported');
	$send->("SET strata.travel_time = ''");
	is("$reported{'strata.travel_time'}|$reported{in_hot_standby}", '|off', 'so is the way back');
	my $lsn = lsn_in($node);
	$send->("BEGIN; SET LOCAL strata.travel_lsn = '$lsn'; SELECT 1");
	is($reported{'strata.travel_lsn'}, $lsn, 'SET LOCAL');
	$send->('COMMIT');
	is("$reported{'strata.travel_lsn'}|$reported{in_hot_standby}", '|off', 'and its end');
	$send->("SELECT set_config('strata.travel_time', '$then', false)");
	is($reported{'strata.travel_time'}, $resolved, 'set_config()');
	$send->('DISCARD ALL');
	is($reported{'strata.travel_time'}, $resolved, 'DISCARD ALL goes to the moment of the connection');
	close $socket;
}

# Queries in the manner of tools for administration, monitoring and dumps. Each must be answered without any error, by a
# superuser and by a role with pg_monitor.
my @queries = (
	'the state of replay' => q{SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END, CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() END},
	'replay delay' => q{SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END >= 0},
	'received and replayed' => q{SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) IS NULL, pg_last_wal_replay_lsn() - '0/0' > 0},
	'position whatever the server is' => q{SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END IS NOT NULL},
	'current transaction where there is one' => q{SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE txid_current() END IS NULL},
	'prepared transactions' => q{SELECT count(*), coalesce(max(extract(epoch FROM now() - prepared)), 0) FROM pg_prepared_xacts},
	'prepared transactions by name' => q{SELECT p.gid, p.database FROM pg_prepared_xacts p JOIN pg_database d ON d.datname = p.database},
	'sessions' => q{SELECT count(*) > 0 FROM pg_stat_activity a LEFT JOIN pg_stat_ssl s USING (pid) LEFT JOIN pg_stat_gssapi g USING (pid)},
	'blocked sessions' => q{SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0},
	'locks' => q{SELECT count(*) >= 0 FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_database d ON d.oid = l.database},
	'replication' => q{SELECT (SELECT count(*) FROM pg_stat_replication), (SELECT count(*) FROM pg_stat_wal_receiver), (SELECT count(*) > 0 FROM pg_replication_slots)},
	'databases' => q{SELECT count(*) > 0 FROM (SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), age(datfrozenxid), mxid_age(datminmxid), pg_database_size(oid), has_database_privilege(oid, 'CREATE') FROM pg_database WHERE datallowconn) d},
	'statistics of databases' => q{SELECT count(*) > 0 FROM pg_stat_database d LEFT JOIN pg_stat_database_conflicts c USING (datid)},
	'the server' => q{SELECT count(*) FROM pg_stat_bgwriter, pg_stat_checkpointer, pg_stat_archiver, pg_stat_wal},
	'input and output' => q{SELECT count(*) > 0 FROM pg_stat_io},
	'tables' => q{SELECT relname, n_live_tup, n_dead_tup, last_vacuum, last_autovacuum, pg_total_relation_size(relid) > 0 FROM pg_stat_user_tables s JOIN pg_statio_user_tables i USING (relid, relname) WHERE relname = 't'},
	'indexes' => q{SELECT indexrelname, idx_scan, pg_relation_size(indexrelid) > 0 FROM pg_stat_user_indexes},
	'bloat' => q{SELECT count(*) > 0 FROM (SELECT c.relpages * current_setting('block_size')::int - c.reltuples FROM pg_class c LEFT JOIN pg_stats s ON s.tablename = c.relname) x},
	'freezing' => q{SELECT count(*) > 0 FROM (SELECT age(relfrozenxid) / current_setting('autovacuum_freeze_max_age')::float FROM pg_class WHERE relkind = 'r') x},
	'progress' => q{SELECT count(*) FROM pg_stat_progress_vacuum FULL JOIN pg_stat_progress_create_index USING (pid) FULL JOIN pg_stat_progress_analyze USING (pid)},
	'the session' => q{SELECT current_user = session_user, current_database(), version() > '', pg_backend_pid() > 0, inet_server_port() IS NULL, current_setting('server_version_num')::int > 180000},
	'roles' => q{SELECT count(*) > 0 FROM pg_roles r LEFT JOIN pg_auth_members m ON m.member = r.oid},
	'settings' => q{SELECT count(*) > 300 FROM pg_settings},
	'tablespaces' => q{SELECT count(*), bool_and(pg_tablespace_location(oid) IS NOT NULL) FROM pg_tablespace},
	'start and reload' => q{SELECT pg_postmaster_start_time() < now(), pg_conf_load_time() <= now()},
	'what a catalog browser reads' => q{SELECT count(*) > 0 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_description d ON d.objoid = c.oid LEFT JOIN pg_depend e ON e.objid = c.oid WHERE pg_table_is_visible(c.oid) AND age(c.xmin) >= 0},
	'what a dump sets up' => q{BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL row_security = off; LOCK TABLE t IN ACCESS SHARE MODE; SELECT pg_export_snapshot() IS NOT NULL; COMMIT},
	'extensions' => q{SELECT e.extname, a.default_version IS NOT NULL FROM pg_extension e LEFT JOIN pg_available_extensions a ON a.name = e.extname ORDER BY 1},
);
for my $user ($node->safe_psql('postgres', 'SELECT current_user'), 'watcher')
{
	for (my $i = 0; $i < @queries; $i += 2)
	{
		($out, $error) = try_sql($node, "SET strata.travel_time = '$then';\n$queries[$i + 1];", user => $user);
		unlike($error, qr/ERROR|FATAL|WARNING/, "answered: $queries[$i] ($user)") or diag($error);
	}
}
($out) = try_sql($node, "SET strata.travel_time = '$then'; $queries[1]; $queries[5];");
is($out, "t|t|paused\nt|t", 'replay is paused, and nothing is received');

# Forms in which a moment cannot be mistaken. A blank in PGOPTIONS ends the value.
my $short = $node->safe_psql('postgres', "SELECT to_char('$then'::timestamptz + interval '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.USOF')");
my @forms = ($short =~ s/ /T/r, $short =~ s/ /\\ /r);
for my $form (@forms)
{
	is((try_sql($node, 'SELECT count(*) FROM t;', options => "-c strata.travel_time=$form"))[0], 1, "PGOPTIONS with $form");
}
my ($status) = $node->psql('postgres', "SET strata.travel_time = 'nonsense'; SELECT count(*) FROM t;", on_error_stop => 1, stdout => \$out);
is("$status|$out", '3|', 'ON_ERROR_STOP: nothing is read after a SET that fails');
($out) = try_sql($node, "BEGIN; SET LOCAL strata.travel_time = 'nonsense'; SELECT count(*) FROM t; COMMIT;");
is($out, '', 'SET LOCAL in a transaction: nothing is read after one that fails');

# Locks: those on pages, tuples and extensions in any mode, strong ones on what a command changes in none.
my @what = ('page', 'tuple', 'extension', 'relation', 'object');
for my $what (0 .. 4)
{
	for my $mode (1 .. 8)
	{
		($out, $error) = try_sql($node, "SET strata.travel_time = '$then'; SELECT lock('t', $what, $mode);");
		if ($what < 3 || $mode < 4)
		{
			is($out, 't', "a lock on a $what in mode $mode is granted") or diag($error);
		}
		else
		{
			like($error, qr/25006: cannot acquire lock mode \w+ on a relation or object while travelling in time\nDETAIL: .*\nHINT:/, "a lock on a $what in mode $mode is refused");
		}
	}
}
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE t');
is((try_sql($node, "SET strata.travel_time = '$then'; SET lock_timeout = '10s'; SELECT lock('t', 0, 5), lock('t', 2, 7);"))[0], 't|t', 'locks of the present are not waited for');
$holder->query_safe('COMMIT');
$holder->quit;

log_is_clean($node);
$node->stop;
done_testing();
