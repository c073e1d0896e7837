# What the TAP tests of strata share: a server with history, moments, travel to them, and what must hold at the end.
package Strata;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(
  new_node wait_for_history kill_and_wait wait_for_restart wait_for_connections try_sql sql_prints sql_fails write_wal kept_bytes now_in commit_in lsn_in at at_lsn at_error pgoptions
  remember still_holds check_all_pages no_mismatch log_is_clean state_of traveller
  prepare_churn churn digest_of_all_pages reached_lsn no_file_is_left_over waits_for damage_values poll_until
);

# Settings of every node: what WAL must hold, a server that comes back after a crash of one of its processes, and an
# SQLSTATE in each line of the log.
my %default_conf = (
	strata_enabled => 'on',
	wal_level => 'replica',
	max_wal_senders => 5,
	restart_after_crash => 'on',
	autovacuum => 'off',
	max_prepared_transactions => 10,
	# So that merges come soon.
	'strata.merge_threshold' => 8,
	# What retention may take away goes at once.
	'strata.retention_grace' => 0,
	timezone => "'UTC'",
	# A superuser named strata would else create its tables in the schema of the extension.
	search_path => "'public'",
	log_line_prefix => "'%m [%p] %b %e %q%a '");

# An initialised and started server whose history has begun. Settings replace the defaults; beside them:
#   init  => [...]  options of PostgreSQL::Test::Cluster::init
#   start => 0      only initialise
sub new_node
{
	my ($name, %conf) = @_;
	my $init = delete $conf{init} // [];
	my $start = delete $conf{start} // 1;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(@$init);
	%conf = (%default_conf, %conf);
	$node->append_conf('postgresql.conf', join('', map { "$_ = $conf{$_}\n" } sort keys %conf));
	if ($start)
	{
		$node->start;
		wait_for_history($node);
	}
	return $node;
}

# Waits until a process of this type waits for this event of strata's. False when that does not come.
sub waits_for
{
	my ($node, $type, $event) = @_;
	return $node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = '$type' AND wait_event_type = 'Extension' AND wait_event = '$event'");
}

# Waits until a session can travel, and so needs no extension. Dies with the reason when that does not come.
sub wait_for_history
{
	my ($node) = @_;
	my $error = '';
	for my $attempt (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		(my $out, $error) = try_sql($node, "SELECT 'begun' FROM set_config('strata.travel_time', clock_timestamp()::text, false)");
		return if $out eq 'begun';
		last if $error =~ /there is no history|has stopped/;
		select(undef, undef, undef, 0.1);
	}
	die "history has not begun: $error";
}

# Tries the condition every so many seconds, 0.02 where it is not said. False when it does not come to hold.
sub poll_until
{
	my ($condition, $pause) = @_;
	my $until = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;
	until ($condition->())
	{
		return 0 if Time::HiRes::time() > $until;
		select(undef, undef, undef, $pause // 0.02);
	}
	return 1;
}

# Until then psql may end before it has read what it is sent, of which IPC::Run dies.
sub wait_for_connections
{
	my ($node) = @_;
	my @probe = ('pg_isready', '-q', '-d', $node->connstr('postgres'));
	poll_until(sub { system(@probe) == 0 }, 0.05) or die 'the server takes no connections';
	return;
}

# A process of the server was killed, with its log as long as `offset`: the postmaster ends the others and begins anew.
sub wait_for_restart
{
	my ($node, $offset) = @_;
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
	wait_for_connections($node);
	return;
}

# Runs statements in one session, going on after errors. Returns what they print, and the errors, warnings and notices
# with their SQLSTATEs. Options: db, options (PGOPTIONS), user, stop (at the first error).
sub try_sql
{
	my ($node, $sql, %option) = @_;
	local $ENV{PGOPTIONS} = $option{options} if defined $option{options};
	my @parameters = ('--set', 'VERBOSITY=verbose', '--set', 'SHOW_CONTEXT=never');
	push @parameters, '-U', $option{user} if defined $option{user};
	my ($status, $out, $error) = $node->psql(
		$option{db} // 'postgres', $sql,
		on_error_stop => $option{stop} // 0,
		extra_params => \@parameters);
	return ($out, $error);
}

# As try_sql(): what the statements print is what is expected. Returns the errors, warnings and notices.
sub sql_prints
{
	my ($node, $sql, $expected, $name, %option) = @_;
	my ($out, $error) = try_sql($node, $sql, %option);
	is($out, $expected, $name) or diag($error);
	return $error;
}

# As try_sql(): errors, warnings and notices are like what is expected.
sub sql_fails
{
	my ($node, $sql, $like, $name, %option) = @_;
	my ($out, $error) = try_sql($node, $sql, %option);
	like($error, $like, $name);
	return;
}

# Fills that many segments of WAL, of 16 MB each. REQUIRES: a table t (a int) in the database postgres.
sub write_wal
{
	my ($node, $segments) = @_;
	$node->safe_psql('postgres', "INSERT INTO t VALUES (0); SELECT pg_switch_wal()") for 1 .. $segments;
	return;
}

# A query: how many bytes of WAL the slot of history keeps.
sub kept_bytes
{
	return "SELECT coalesce((SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = 'strata'), 0)";
}

# Kills a process of the server, and waits until the postmaster has ended the others and takes connections again.
sub kill_and_wait
{
	my ($node, $pid) = @_;
	my $log = -s $node->logfile;
	kill 'KILL', $pid;
	wait_for_restart($node, $log);
	return;
}

# A moment between what is committed already and what comes next.
sub now_in
{
	my ($node) = @_;
	return $node->safe_psql('postgres',
		'SELECT pg_sleep(0.002) \g /dev/null' . "\nSELECT clock_timestamp();\n" . 'SELECT pg_sleep(0.002) \g /dev/null');
}

# A commit that changes no page. What VACUUM and pruning wrote before it belongs to every time after it.
sub commit_in
{
	my ($node) = @_;
	$node->safe_psql('postgres', "SELECT pg_logical_emit_message(true, 'test', '')");
	return;
}

sub lsn_in
{
	my ($node) = @_;
	return $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
}

sub _travel
{
	my ($node, $setting, $value, $sql, $db) = @_;
	return try_sql($node, "SET $setting = '$value';\n$sql", db => $db, stop => 1);
}

# What the statements print in a session that travels to a time; the error where there is one.
sub at
{
	my ($node, $time, $sql, $db) = @_;
	my ($out, $error) = _travel($node, 'strata.travel_time', $time, $sql, $db);
	return $error =~ /ERROR|FATAL|PANIC/ ? "$out$error" : $out;
}

sub at_lsn
{
	my ($node, $lsn, $sql, $db) = @_;
	my ($out, $error) = _travel($node, 'strata.travel_lsn', $lsn, $sql, $db);
	return $error =~ /ERROR|FATAL|PANIC/ ? "$out$error" : $out;
}

# The errors of the statements in a session that travels to a time.
sub at_error
{
	my ($node, $time, $sql, $db) = @_;
	my ($out, $error) = _travel($node, 'strata.travel_time', $time, $sql, $db);
	return $error;
}

# The PGOPTIONS of a session that starts at a time.
sub pgoptions
{
	my ($time) = @_;
	$time =~ s/([\\ ])/\\$1/g;
	return "-c strata.travel_time=$time";
}

# A session in the background that travels to a time.
sub traveller
{
	my ($node, $time, $db) = @_;
	my $session = $node->background_psql($db // 'postgres', on_error_stop => 0);
	$session->query_safe("SET strata.travel_time = '$time'");
	return $session;
}

# What queries answer now, and the moment. Pairs of (what it shows, query).
sub remember
{
	my ($node, $db, @queries) = @_;
	my @memory;
	while (my ($what, $query) = splice(@queries, 0, 2))
	{
		push @memory, [ $what, $query, $node->safe_psql($db, $query) ];
	}
	return { node => $node, db => $db, time => now_in($node), memory => \@memory };
}

# One test for each query: at that moment it answers as it did.
sub still_holds
{
	my ($past, $suffix) = @_;
	$suffix = defined $suffix ? " $suffix" : '';
	for my $entry (@{ $past->{memory} })
	{
		my ($what, $query, $answer) = @$entry;
		is(at($past->{node}, $past->{time}, $query, $past->{db}), $answer, "$what$suffix");
	}
	return;
}

# The page oracle over every relation of a database: (pages, redo calls, mismatches, the first of them).
sub check_all_pages
{
	my ($node, $db) = @_;
	$node->safe_psql($db, 'CREATE EXTENSION IF NOT EXISTS strata');
	my $sums = $node->safe_psql(
		$db, q{
		SELECT sum(pages), sum(redo_calls), sum(mismatches),
		       coalesce(string_agg(c.oid::regclass || ': ' || first_mismatch, '; ')
		                FILTER (WHERE mismatches > 0), 'none')
		FROM pg_class c, LATERAL strata.check_pages(c.oid) p
		WHERE c.relkind IN ('r', 'i', 'S', 't', 'm') AND c.relpersistence <> 't'});
	return split /\|/, $sums, 4;
}

# One test: the oracle finds nothing in any database that takes connections.
sub no_mismatch
{
	my ($node, $name) = @_;
	my ($all_pages, $all_calls, $all_mismatches) = (0, 0, 0);
	my $databases = $node->safe_psql('postgres', 'SELECT datname FROM pg_database WHERE datallowconn');
	for my $db (split /\n/, $databases)
	{
		my ($pages, $calls, $mismatches, $first) = check_all_pages($node, $db);
		diag("database $db: $first") if $mismatches > 0;
		$all_pages += $pages;
		$all_calls += $calls;
		$all_mismatches += $mismatches;
	}
	my $what = "page oracle: $all_pages pages, $all_calls redo calls, $all_mismatches mismatches";
	note($what);
	ok($all_pages > 0 && $all_mismatches == 0, $name // 'every page rebuilt from history equals the page that PostgreSQL has')
	  or diag($what);
	return ($all_pages, $all_calls, $all_mismatches);
}

# Tables for churn().
sub prepare_churn
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE EXTENSION IF NOT EXISTS pageinspect;
CREATE TABLE many (id int PRIMARY KEY, n int DEFAULT 0, t text);
CREATE INDEX ON many USING hash (t);
CREATE INDEX ON many USING gist (int4range(id, id + 10));
CREATE TABLE cut (a int, b text);
CREATE SEQUENCE rounds;
SQL
	return;
}

# Rounds of what chains are made of: hint bits, images after checkpoints, truncations, drops.
sub churn
{
	my ($node, $count) = @_;
	for (1 .. $count)
	{
		my $round = $node->safe_psql('postgres', "SELECT nextval('rounds')");
		$node->safe_psql('postgres', <<"SQL");
INSERT INTO many SELECT i, 0, md5(i::text) FROM generate_series($round * 3000, $round * 3000 + 2999) i;
UPDATE many SET n = n + 1, t = t || 'x' WHERE id % 7 = $round % 7;
INSERT INTO cut SELECT i, repeat('c', 200) FROM generate_series(1, 2000) i;
SELECT count(*) FROM many, (SELECT count(*) FROM cut) c;
CREATE TABLE gone_$round AS SELECT * FROM many LIMIT 1000;
CHECKPOINT;
DELETE FROM many WHERE id % 11 = $round % 11;
VACUUM (TRUNCATE) many;
SQL
		$node->safe_psql('postgres', $round % 2 ? 'TRUNCATE cut' : 'DELETE FROM cut; VACUUM cut');
		$node->safe_psql('postgres', "DROP TABLE gone_$round") if $round % 3;
	}
	return;
}

# At an LSN, every block of the tables and indexes in schema public as it is rebuilt, to the byte. Rebuilt pages stay in
# shared buffers, where reading rows sets hint bits: so this comes before such queries. REQUIRES: pageinspect.
sub digest_of_all_pages
{
	my ($node, $lsn) = @_;
	return at_lsn($node, $lsn, q{
SELECT md5(string_agg(md5(get_raw_page(c.oid::regclass::text, f, b::int)), '' ORDER BY c.oid, f, b))
FROM pg_class c, unnest(ARRAY['main', 'vm']) f,
     generate_series(0, pg_relation_size(c.oid, f) / 8192 - 1) b
WHERE c.relkind IN ('r', 'i') AND c.relnamespace = 'public'::regnamespace});
}

# The end of WAL, once history has reached it. REQUIRES: the extension.
sub reached_lsn
{
	my ($node) = @_;
	my $lsn = lsn_in($node);
	$node->safe_psql('postgres', "SELECT strata.wait_for('$lsn')");
	return $lsn;
}

# One test: the store has the files that it knows, and no other layer. REQUIRES: the extension.
sub no_file_is_left_over
{
	my ($node, $name) = @_;
	my $same = q{SELECT count(*) = (SELECT count(*) FROM strata.layers()) FROM pg_ls_dir('pg_strata') f WHERE f ~ 'layer$'};
	return ok($node->poll_query_until('postgres', $same), $name // 'no file is left over');
}

# Damages values and index of a layer file: a bit in every 100 bytes of all blocks but the last ones, which it is opened
# with; where they begin stands in the footer.
sub damage_values
{
	my ($path) = @_;
	my $content = slurp_file($path);
	my $end = unpack('Q<', substr($content, -112 + 24, 8));
	for (my $at = 32; $at < $end; $at += 100)
	{
		substr($content, $at, 1) = chr(ord(substr($content, $at, 1)) ^ 0x10);
	}
	open(my $file, '>:raw', $path) or die "$path: $!";
	print $file $content;
	close $file;
	return;
}

# A column of strata.status(). REQUIRES: the extension.
sub state_of
{
	my ($node, $column) = @_;
	return $node->safe_psql('postgres', "SELECT $column FROM strata.status()");
}

# One test: nothing in the log that no user may ever cause: crashes, failed assertions, internal errors, corruption.
sub log_is_clean
{
	my ($node, $allowed) = @_;
	my @bad = grep { /PANIC|TRAP:|was terminated by signal| XX\d\d\d / && !(defined $allowed && /$allowed/) }
	  split /\n/, slurp_file($node->logfile);
	is(join("\n", splice(@bad, 0, 10)), '', 'the log has no crash, no failed assertion and no internal error');
	return;
}

1;
