# doc/travel-semantics.md, row by row: what PostgreSQL reads from elsewhere than pages is of the past, refused, or plainly
# of the server or the session.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

# The rows of PostgreSQL's own functions and views, and the functions that need none.
my $text = slurp_file("$ENV{STRATA_SOURCE}/doc/travel-semantics.md");
my ($own) = $text =~ /^## Functions and views of PostgreSQL\n(.*?)^## /ms;
my %kind;
for my $row ($own =~ /^\| (`.*)$/mg)
{
	my ($names, $kind) = split / \| /, $row;
	$kind{$_} = $kind for $names =~ /`([^`]+)`/g;
}
my ($rest) = $own =~ /^(Functions that read nothing .*)/ms;
my @needless = $rest =~ /`([^`]+)`/g;

my $node = new_node(
	'semantics',
	wal_level => 'logical',
	track_commit_timestamp => 'on',
	track_functions => "'all'",
	restart_after_crash => 'off',
	allow_in_place_tablespaces => 'on');
my $tablespace_folder = PostgreSQL::Test::Utils::tempdir;
$node->safe_psql('postgres', "CREATE TABLESPACE gone LOCATION '$tablespace_folder'");
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT i, 'x' || i FROM generate_series(1, 1000) i;
CREATE UNLOGGED TABLE u (a int);
CREATE UNLOGGED SEQUENCE us;
CREATE SEQUENCE s;
SELECT nextval('s');
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
SELECT f() FROM t;
SELECT count(*) FROM t;
SELECT lo_from_bytea(77, 'large');
SELECT pg_create_physical_replication_slot('p'), pg_create_logical_replication_slot('l', 'test_decoding');
SELECT pg_replication_origin_create('o');
BEGIN;
SELECT a FROM t WHERE a = 1 FOR KEY SHARE;
PREPARE TRANSACTION 'p0';
BEGIN;
SELECT a FROM t WHERE a = 1 FOR SHARE;
INSERT INTO t VALUES (5000, 'prepared');
PREPARE TRANSACTION 'p1';
CREATE TABLE last_before (a int);
SQL
my $path = $node->safe_psql('postgres', "SELECT pg_relation_filepath('t')");
my $prepared = $node->safe_psql('postgres', "SELECT transaction FROM pg_prepared_xacts WHERE gid = 'p1'");
my $next_xid = $prepared + 2;
my $multixact = $node->safe_psql('postgres', 'SELECT xmax FROM t WHERE a = 1');
my $members = $node->safe_psql('postgres', "SELECT * FROM pg_get_multixact_members('$multixact') ORDER BY 2");
my $committed = $node->safe_psql('postgres', 'SELECT xmin FROM t WHERE a = 2');
my $age = $node->safe_psql('postgres', "SELECT age('$committed'::xid)");
my $multixact_age = $node->safe_psql('postgres', "SELECT mxid_age('$multixact')");
my $sizes = $node->safe_psql('postgres', "SELECT pg_relation_size('t'), pg_indexes_size('t')");
my $then = now_in($node);
my $lsn = $node->safe_psql('postgres', "SELECT strata.lsn_at('$then')");

# Everything below differs now.
$node->safe_psql('postgres', <<'SQL');
COMMIT PREPARED 'p0';
COMMIT PREPARED 'p1';
DROP TABLESPACE gone;
UPDATE t SET b = 'new';
SELECT nextval('s') FROM generate_series(1, 100);
SELECT lo_unlink(77);
VACUUM FULL t;
CREATE TABLE later AS SELECT i FROM generate_series(1, 100000) i;
BEGIN;
SELECT a FROM t WHERE a = 2 FOR KEY SHARE;
PREPARE TRANSACTION 'p2';
BEGIN;
SELECT a FROM t WHERE a = 2 FOR SHARE;
COMMIT;
COMMIT PREPARED 'p2';
SQL
# Freezing everything moves the cluster's oldest transaction beyond what the moment has.
$node->safe_psql('postgres', 'ALTER DATABASE template0 ALLOW_CONNECTIONS true');
$node->command_ok([ 'vacuumdb', '--all', '--freeze', '--quiet' ], 'the present freezes all it has');
$node->safe_psql('postgres', 'CHECKPOINT');
cmp_ok($node->safe_psql('postgres', "SELECT oldest_xid::text::bigint FROM pg_control_checkpoint()"), '>', $committed,
	'the present\'s oldest transaction is later than those of the moment');
$node->safe_psql('postgres', "BEGIN; INSERT INTO t VALUES (5002, 'prepared'); PREPARE TRANSACTION 'p3'");

# name => [ query, what it must print at the moment ]; queries for refusals and for the server need no answer.
my %past = (
	pg_is_in_recovery => [ 'SELECT pg_is_in_recovery()', 't' ],
	in_hot_standby => [ 'SHOW in_hot_standby', 'on' ],
	transaction_read_only => [ 'SHOW transaction_read_only', 'on' ],
	pg_is_wal_replay_paused => [ 'SELECT pg_is_wal_replay_paused()', 't' ],
	pg_get_wal_replay_pause_state => [ 'SELECT pg_get_wal_replay_pause_state()', 'paused' ],
	pg_last_wal_receive_lsn => [ 'SELECT pg_last_wal_receive_lsn() IS NULL', 't' ],
	pg_prepared_xact => [ 'SELECT count(*) FROM pg_prepared_xact()', 0 ],
	pg_prepared_xacts => [ 'SELECT * FROM pg_prepared_xacts', '' ],
	pg_last_wal_replay_lsn => [ 'SELECT pg_last_wal_replay_lsn()', $lsn ],
	pg_last_xact_replay_timestamp => [ "SELECT pg_last_xact_replay_timestamp() = strata.time_at('$lsn'), pg_last_xact_replay_timestamp() < '$then'", 't|t' ],
	pg_current_snapshot => [ 'SELECT pg_current_snapshot()', "$next_xid:$next_xid:" ],
	txid_current_snapshot => [ 'SELECT txid_current_snapshot()', "$next_xid:$next_xid:" ],
	pg_current_xact_id_if_assigned => [ 'SELECT pg_current_xact_id_if_assigned() IS NULL', 't' ],
	txid_current_if_assigned => [ 'SELECT txid_current_if_assigned() IS NULL', 't' ],
	pg_xact_status => [ "SELECT pg_xact_status('$committed'), pg_xact_status('$prepared')", 'committed|in progress' ],
	txid_status => [ "SELECT txid_status($committed)", 'committed' ],
	age => [ "SELECT age('$committed'::xid)", $age ],
	mxid_age => [ "SELECT mxid_age('$multixact')", $multixact_age ],
	pg_get_multixact_members => [ "SELECT * FROM pg_get_multixact_members('$multixact') ORDER BY 2", $members ],
	pg_relation_size => [ "SELECT pg_relation_size('t') || '|' || pg_indexes_size('t')", $sizes ],
	pg_table_size => [ "SELECT pg_table_size('t') BETWEEN pg_relation_size('t') AND pg_relation_size('t') + 65536", 't' ],
	pg_indexes_size => [ "SELECT pg_relation_size('t') || '|' || pg_indexes_size('t')", $sizes ],
	pg_total_relation_size => [ "SELECT pg_total_relation_size('t') = pg_table_size('t') + pg_indexes_size('t')", 't' ],
	pg_database_size => [ "SELECT pg_database_size('postgres') < 50000000 AND pg_database_size('postgres') > 5000000", 't' ],
	pg_tablespace_size => [ "SELECT pg_tablespace_size('pg_default') > pg_database_size('postgres'), pg_tablespace_size('gone')", 't|0' ],
	pg_relation_filenode => [ "SELECT pg_relation_filepath('t') LIKE '%/' || pg_relation_filenode('t')", 't' ],
	pg_relation_filepath => [ "SELECT pg_relation_filepath('t')", $path ],
	pg_filenode_relation => [ "SELECT pg_filenode_relation(0, split_part('$path', '/', 3)::oid), pg_filenode_relation(0, pg_relation_filenode('pg_class'))", 't|pg_class' ],
	pg_sequence_last_value => [ "SELECT pg_sequence_last_value('s'), pg_sequence_last_value('us') IS NULL", '33|t' ],
	pg_get_sequence_data => [ "SELECT * FROM pg_get_sequence_data('s')", '33|t' ],
	pg_sequences => [ "SELECT last_value FROM pg_sequences WHERE sequencename = 's'", 33 ],
	pg_export_snapshot => [ 'SELECT pg_export_snapshot() IS NOT NULL', 't' ],
	currtid2 => [ "SELECT currtid2('t', '(0,2)')", '(0,2)' ],
	lo_get => [ "SELECT encode(lo_get(77), 'escape')", 'large' ],
	lo_open => [ "SELECT encode(loread(lo_open(77, x'40000'::int), 9), 'escape')", 'large' ],
	loread => [ "SELECT encode(loread(lo_open(77, x'40000'::int), 9), 'escape')", 'large' ],
	lo_lseek => [ "SELECT lo_lseek(lo_open(77, x'40000'::int), 0, 2)", 5 ],
	lo_lseek64 => [ "SELECT lo_lseek64(lo_open(77, x'40000'::int), 0, 2)", 5 ],
	lo_tell => [ "SELECT lo_tell(lo_open(77, x'40000'::int))", 0 ],
	lo_tell64 => [ "SELECT lo_tell64(lo_open(77, x'40000'::int))", 0 ],
	lo_close => [ "SELECT lo_close(lo_open(77, x'40000'::int))", 0 ],
	pg_tablespace_location => [ "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'pg_default'", '' ],
	'pg_statio_*' => [ "SELECT heap_blks_read + heap_blks_hit FROM pg_statio_user_tables WHERE relname = 't'", 0 ],
	'pg_stat_xact_*' => [ "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 't'", 0 ],
	pg_stat_user_functions => [ 'SELECT count(*) FROM pg_stat_user_functions', 0 ],
	pg_stat_all_indexes => [ "SELECT sum(idx_scan) FROM pg_stat_all_indexes", 0 ],
	pg_stat_sys_indexes => [ "SELECT sum(idx_scan) FROM pg_stat_sys_indexes", 0 ],
	pg_stat_user_indexes => [ "SELECT sum(idx_scan) FROM pg_stat_user_indexes", 0 ],
	pg_stat_all_tables => [ "SELECT sum(seq_scan) FROM pg_stat_all_tables", 0 ],
	pg_stat_sys_tables => [ "SELECT sum(seq_scan) FROM pg_stat_sys_tables", 0 ],
	pg_stat_user_tables => [ "SELECT n_live_tup, n_tup_upd, last_vacuum IS NULL FROM pg_stat_user_tables WHERE relname = 't'", '0|0|t' ]);
my $new_lo = "lo_open(77, x'20000'::int)";
my %refused = (
	(map { $_ => "SELECT $_()" } qw(
		  pg_current_wal_lsn pg_current_wal_insert_lsn pg_current_wal_flush_lsn pg_switch_wal pg_log_standby_snapshot pg_promote
		  pg_wal_replay_pause pg_wal_replay_resume
		  pg_backup_stop pg_current_xact_id txid_current pg_last_committed_xact pg_control_checkpoint
		  pg_control_recovery pg_sync_replication_slots pg_stat_reset pg_stat_reset_shared pg_stat_reset_slru
		  pg_show_replication_origin_status)),
	(map { $_ => "SELECT $_('0/2000000')" } qw(pg_walfile_name pg_walfile_name_offset)),
	(map { $_ => "SELECT $_('l', NULL, NULL)" } qw(
		  pg_logical_slot_get_changes pg_logical_slot_get_binary_changes pg_logical_slot_peek_changes pg_logical_slot_peek_binary_changes)),
	(map { $_ => "SELECT $_('t_pkey'::regclass)" } qw(brin_summarize_new_values gin_clean_pending_list)),
	(map { $_ => "SELECT $_('t_pkey'::regclass, 0)" } qw(brin_summarize_range brin_desummarize_range)),
	(map { $_ => "SELECT $_(1)" } qw(pg_stat_reset_backend_stats pg_stat_reset_subscription_stats lo_creat lo_create pg_tablespace_databases)),
	(map { $_ => "SELECT $_('t'::regclass)" } qw(pg_stat_reset_single_function_counters pg_stat_reset_single_table_counters)),
	(map { $_ => "SELECT $_('$committed'::xid)" } qw(pg_xact_commit_timestamp pg_xact_commit_timestamp_origin)),
	pg_create_restore_point => "SELECT pg_create_restore_point('x')",
	pg_logical_emit_message => "SELECT pg_logical_emit_message(true, 'a', 'b')",
	pg_backup_start => "SELECT pg_backup_start('x')",
	pg_stat_reset_replication_slot => "SELECT pg_stat_reset_replication_slot('l')",
	pg_create_physical_replication_slot => "SELECT pg_create_physical_replication_slot('x')",
	pg_create_logical_replication_slot => "SELECT pg_create_logical_replication_slot('x', 'test_decoding')",
	pg_copy_physical_replication_slot => "SELECT pg_copy_physical_replication_slot('p', 'x')",
	pg_copy_logical_replication_slot => "SELECT pg_copy_logical_replication_slot('l', 'x')",
	pg_drop_replication_slot => "SELECT pg_drop_replication_slot('p')",
	pg_replication_slot_advance => "SELECT pg_replication_slot_advance('p', '0/2000000')",
	nextval => "SELECT nextval('s')",
	setval => "SELECT setval('s', 5)",
	lo_from_bytea => "SELECT lo_from_bytea(0, 'x')",
	lo_import => "SELECT lo_import('/dev/null')",
	lo_put => "SELECT lo_put(77, 0, 'x')",
	lo_truncate => "SELECT lo_truncate($new_lo, 0)",
	lo_truncate64 => "SELECT lo_truncate64($new_lo, 0)",
	lo_unlink => 'SELECT lo_unlink(77)',
	lowrite => "SELECT lowrite($new_lo, 'x')",
	pg_notify => "SELECT pg_notify('a', 'b')",
	pg_import_system_collations => "SELECT pg_import_system_collations('pg_catalog')",
	pg_nextoid => "SELECT pg_nextoid('pg_class', 'oid', 'pg_class_oid_index')",
	pg_restore_relation_stats => "SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', 't', 'relpages', 5)",
	pg_restore_attribute_stats =>
	  "SELECT pg_restore_attribute_stats('schemaname', 'public', 'relname', 't', 'attname', 'a', 'inherited', false, 'null_frac', 0.5::real)",
	pg_clear_relation_stats => "SELECT pg_clear_relation_stats('public', 't')",
	pg_clear_attribute_stats => "SELECT pg_clear_attribute_stats('public', 't', 'a', false)",
	'pg_replication_origin_*' => "SELECT * FROM pg_replication_origin_status");
# What needs more than SELECT * FROM name or SELECT name().
my %plain = (
	'pg_stat_progress_*' => 'SELECT count(*) FROM pg_stat_progress_vacuum',
	pg_stat_have_stats => "SELECT pg_stat_have_stats('database', 5, 0)",
	pg_blocking_pids => 'SELECT pg_blocking_pids(pg_backend_pid())',
	pg_safe_snapshot_blocking_pids => 'SELECT pg_safe_snapshot_blocking_pids(pg_backend_pid())',
	pg_isolation_test_session_is_blocked => "SELECT pg_isolation_test_session_is_blocked(1, '{2}')",
	'pg_advisory_*' => 'SELECT pg_advisory_lock(1), pg_advisory_unlock_all()',
	'pg_try_advisory_*' => 'SELECT pg_try_advisory_xact_lock_shared(1)',
	pg_wal_summary_contents => "SELECT 1 FROM pg_available_wal_summaries() w, pg_wal_summary_contents(w.tli, w.start_lsn, w.end_lsn)",
	pg_split_walfile_name => "SELECT pg_split_walfile_name('000000010000000000000001')",
	pg_read_file => "SELECT pg_read_file('PG_VERSION')",
	pg_read_binary_file => "SELECT pg_read_binary_file('PG_VERSION', 0, 2)",
	pg_stat_file => "SELECT pg_stat_file('PG_VERSION')",
	pg_ls_dir => "SELECT pg_ls_dir('.')",
	pg_ls_replslotdir => "SELECT pg_ls_replslotdir('l')",
	pg_ls_logdir => 'SELECT pg_ls_tmpdir()',
	lo_export => "SELECT lo_export(77, '/dev/null')",
	pg_cancel_backend => 'SELECT pg_cancel_backend(2147483647)',
	pg_terminate_backend => 'SELECT pg_terminate_backend(2147483647)',
	pg_rotate_logfile => 'SELECT 1',
	pg_log_backend_memory_contexts => 'SELECT pg_log_backend_memory_contexts(2147483647)',
	pg_shmem_allocations_numa => 'SELECT pg_numa_available()',
	pg_get_shmem_allocations_numa => 'SELECT pg_numa_available()',
	current_setting => "SELECT current_setting('work_mem')",
	set_config => "SELECT set_config('work_mem', '1MB', false)",
	pg_settings_get_flags => "SELECT pg_settings_get_flags('work_mem')",
	pg_extension_update_paths => "SELECT pg_extension_update_paths('strata')",
	pg_timezone_names => 'SELECT count(*) FROM pg_timezone_names',
	pg_collation_actual_version => 'SELECT pg_collation_actual_version(100)',
	pg_database_collation_actual_version => 'SELECT pg_database_collation_actual_version(5)',
	transaction_timestamp => "SELECT 1 WHERE now() > '$then'",
	currval => "SELECT 1",
	lastval => 'SELECT 1',
	current_user => 'SELECT current_user',
	session_user => 'SELECT session_user',
	current_schemas => 'SELECT current_schemas(true)',
	system_user => 'SELECT system_user');

# Runs all queries in one session each their own transaction; what each printed and its error.
my %answer;
{
	my @names = (sort keys %past, sort keys %refused);
	my %query = ((map { $_ => $past{$_}[0] } keys %past), %refused);
	for my $name (grep { $kind{$_} eq 'server' || $kind{$_} eq 'session' } sort keys %kind)
	{
		push @names, $name;
		my $is_view = $node->safe_psql('postgres', "SELECT to_regclass('pg_catalog.$name') IS NOT NULL") eq 't';
		$query{$name} = $plain{$name} // ($is_view ? "SELECT * FROM $name" : "SELECT $name()");
	}
	my $script = "SET strata.travel_time = '$then';\n\\set VERBOSITY verbose\n" . join('', map { "\\echo ==$_\n\\warn ==$_\n$query{$_};\n" } @names);
	my ($out, $error) = ('', '');
	$node->psql('postgres', $script, stdout => \$out, stderr => \$error, on_error_stop => 0);
	for my $part ([ 'out', $out ], [ 'error', $error ])
	{
		my ($which, $text) = @$part;
		while ($text =~ /^==(\S+)\n(.*?)(?=^==|\z)/msg)
		{
			$answer{$1}{$which} = $2;
			chomp $answer{$1}{$which};
		}
	}
}

my %expected = (past => \%past, refused => \%refused);
for my $name (sort keys %kind)
{
	my $kind = $kind{$name};
	my ($out, $error) = ($answer{$name}{out} // '', $answer{$name}{error} // 'was not run');
	if ($kind eq 'past')
	{
		ok(exists $past{$name}, "a case for $name") or next;
		is("$out$error", $past{$name}[1], "of the past: $name");
	}
	elsif ($kind eq 'refused')
	{
		ok(exists $refused{$name}, "a case for $name") or next;
		ok( $error =~ /ERROR:  (55000|25006): .*travelling in time/
			  && $error =~ /as of \Q$then\E \(LSN/
			  && $error =~ /RESET strata\.travel_time/,
			"refused: $name") or diag("$out$error");
	}
	else
	{
		ok($error !~ /ERROR/, "of the $kind: $name") or diag($error);
	}
}
for my $name (sort(keys %past), sort(keys %refused))
{
	ok(exists $kind{$name}, "doc/travel-semantics.md has a row for $name") if !exists $kind{$name};
}

# Every function that may read something else than its arguments is in the document.
sub pattern
{
	my ($name) = @_;
	return join '.*', map { quotemeta } split /\*/, $name, -1;
}
my $named = join '|', map { pattern($_) } keys %kind, @needless;
my @functions = split /\n/, $node->safe_psql(
	'postgres', q{
	SELECT DISTINCT proname FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile <> 'i' AND lanname <> 'c'
	  AND NOT 'internal'::regtype = ANY (proargtypes) AND NOT 'cstring'::regtype = ANY (proargtypes)
	  AND prorettype NOT IN ('cstring'::regtype, 'trigger'::regtype, 'internal'::regtype)
	  AND p.oid NOT IN (SELECT unnest(ARRAY[typsend::oid, typreceive::oid]) FROM pg_type)
	  AND p.oid NOT IN (SELECT oprcode FROM pg_operator)});
cmp_ok(scalar(@functions), '>', 300, 'the catalog has functions to look at');
is(join(' ', grep { !/^(?:$named)$/ } @functions), '', 'every volatile or stable function is in doc/travel-semantics.md');
my @views = grep { /^pg_stat|lock|slot|prepared|cursor|setting|file/ } split /\n/,
  $node->safe_psql('postgres', "SELECT viewname FROM pg_views WHERE schemaname = 'pg_catalog'");
is(join(' ', grep { !/^(?:$named|pg_stats.*|pg_replication_origin_status)$/ } @views), '', 'every view of statistics, locks and files is in doc/travel-semantics.md');

# What the document says beside the tables.
is(at($node, $then, "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'gone'"), $tablespace_folder,
	'the place of a tablespace that was dropped is known');
like(at_error($node, $then, 'SELECT * FROM u'), qr/0A000: .*while travelling in time/, 'unlogged tables are refused');
like(at_error($node, $then, "SELECT pg_get_multixact_members('" . ($multixact + 1) . "')"), qr/22023: .*not been created yet/,
	'a multixact of later is an error');
like(at_error($node, $then, "SELECT pg_xact_status('$next_xid')"), qr/22023: .*in the future/, 'a transaction of later is an error');
my ($out, $errors) = try_sql($node, "SELECT nextval('s') \\gset\nSET strata.travel_time = '$then'; SELECT currval('s') = :nextval, lastval() = :nextval");
is($out, 't|t', 'currval and lastval are of the session');

# A snapshot is one of its moment.
my $exporter = traveller($node, $then);
$exporter->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $snapshot = $exporter->query_safe('SELECT pg_export_snapshot()');
my $import = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$snapshot'; SELECT count(*) FROM t WHERE b LIKE 'x%'; COMMIT;";
is(at($node, $then, $import), 1000, 'a snapshot of the past is imported at the same moment');
my $later = now_in($node);
like(at($node, $later, $import), qr/55000: .*snapshot of another moment/, 'not at another moment');
like((try_sql($node, $import, stop => 1))[1], qr/55000: .*could not import the requested snapshot/, 'and not in the present');
$exporter->quit;
my $present = $node->background_psql('postgres');
$present->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$snapshot = $present->query_safe('SELECT pg_export_snapshot()');
like(at($node, $then, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$snapshot'; SELECT 1"),
	qr/55000: .*snapshot of another moment/, 'a snapshot of the present is not imported in the past');
$present->quit;

# The present has kept everything.
is( $node->safe_psql('postgres', "SELECT count(*) FILTER (WHERE slot_name IN ('p', 'l')) || '|' || (SELECT string_agg(gid, ',') FROM pg_prepared_xacts) FROM pg_replication_slots"),
	'2|p3', 'what was refused has changed nothing');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'p3'");

log_is_clean($node);
$node->stop;
done_testing();
