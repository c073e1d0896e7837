# Workloads that others wrote: PostgreSQL's suites, contrib's own tests, pgbench. Points of an oracle are made meanwhile.
package StrataSuites;

use strict;
use warnings;

use feature 'state';

use Exporter 'import';
use File::Path qw(make_path);
use POSIX ':sys_wait_h';
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(run_suite run_contrib run_pgbench);

# Runs a command; meanwhile makes a point of an oracle every $seconds, counted from $$last on, which moves along. Returns
# what the command printed.
sub _run_with_points
{
	my ($node, $oracle, $seconds, $last, @command) = @_;
	# Other test files run commands at the same time.
	state $folder = PostgreSQL::Test::Utils::tempdir;
	my $out = "$folder/command.out";
	my $pid = fork // die "could not fork: $!";
	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', $out);
		open(STDERR, '>&', \*STDOUT);
		exec(@command) or POSIX::_exit(1);
	}
	until (waitpid($pid, WNOHANG))
	{
		sleep 0.05;
		next if !$oracle || time - $$last < $seconds;
		$$last = time;
		$oracle->at_lsn($node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()'), 'by the clock');
	}
	return slurp_file($out);
}

# PostgreSQL's regression or isolation suite in a database that has the extension. That some of its tests see the
# extension, and fail, does not matter here. An oracle notes the moments between groups of tests, and makes points in
# the middle of them every $seconds. Returns how many tests were run.
sub run_suite
{
	my ($node, $oracle, $suite, $seconds) = @_;
	my $inputs = "$ENV{STRATA_POSTGRESQL}/source/src/test/$suite";
	my $out = "$PostgreSQL::Test::Utils::tmp_check/$suite";
	make_path(map { "$out/$_" } qw(sql expected results testtablespace));
	my ($program, $schedule, $db) = $suite eq 'regress'
	  ? ($ENV{PG_REGRESS}, 'parallel_schedule', 'regression')
	  : ($ENV{PG_REGRESS} =~ s{regress/pg_regress$}{isolation/pg_isolation_regress}r, 'isolation_schedule', 'isolation_regression');
	my @groups = map { s/^test:\s*//r } grep { /^test:/ } split /\n/, slurp_file("$inputs/$schedule");
	# Some tests name the database that pg_regress would have created.
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	my $count = 0;
	my $started = time;
	for my $group (@groups)
	{
		my $part = "$out/group_schedule";
		unlink $part;
		append_to_file($part, "test: $group\n");
		my $text = _run_with_points($node, $oracle, $seconds, \$started, $program,
			"--dlpath=$ENV{STRATA_POSTGRESQL}/build/src/test/regress", '--bindir=', '--host=' . $node->host, '--port=' . $node->port,
			'--use-existing', "--dbname=$db", "--schedule=$part", '--max-concurrent-tests=20',
			"--inputdir=$inputs", "--expecteddir=$inputs", "--outputdir=$out");
		$count += () = $text =~ /^(?:not )?ok \d+/mg;
		$oracle->note_between('after ' . (split ' ', $group)[-1]) if $oracle;
	}
	return $count;
}

# The installcheck of contrib modules, one database each.
sub run_contrib
{
	my ($node, $oracle, @modules) = @_;
	my $count = 0;
	my $started = time;
	for my $module (@modules)
	{
		my $inputs = "$ENV{STRATA_POSTGRESQL}/source/contrib/$module";
		my ($tests) = slurp_file("$inputs/Makefile") =~ /^REGRESS\s*=\s*((?:[^\n\\]|\\\n)*)/m;
		my $out = "$PostgreSQL::Test::Utils::tmp_check/$module";
		make_path("$out/results");
		$node->safe_psql('postgres', "CREATE DATABASE contrib_$module");
		my $text = _run_with_points($node, $oracle, 5, \$started, $ENV{PG_REGRESS}, '--bindir=', '--host=' . $node->host, '--port=' . $node->port,
			'--use-existing', "--dbname=contrib_$module", "--inputdir=$inputs", "--expecteddir=$inputs", "--outputdir=$out",
			grep { length && $_ ne '\\' } split /\s+/, $tests);
		$count += () = $text =~ /^(?:not )?ok \d+/mg;
		$oracle->note_between("after $module") if $oracle;
	}
	return $count;
}

# pgbench, while other clients change what it works on; then many clients that do nothing but commit, so that some commits
# come into WAL after later ones.
sub run_pgbench
{
	my ($node, $oracle, $seconds) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir;
	append_to_file("$dir/ddl.sql", <<'SQL');
\set k random(1, 1000000000)
\set what random(1, 6)
\if :what = 1
BEGIN;
CREATE TABLE made_:k (a int PRIMARY KEY, b text);
INSERT INTO made_:k SELECT i, repeat('b', 100) FROM generate_series(1, 300) i;
COMMIT;
DROP TABLE made_:k;
\elif :what = 2
CREATE INDEX CONCURRENTLY i_:k ON pgbench_accounts (abalance) WHERE aid % 10 = 0;
DROP INDEX i_:k;
\elif :what = 3
VACUUM pgbench_branches, pgbench_tellers;
\elif :what = 4
ALTER TABLE pgbench_history ADD c_:k int DEFAULT 7;
ALTER TABLE pgbench_history DROP c_:k;
\elif :what = 5
REINDEX TABLE pgbench_tellers;
\else
VACUUM (FREEZE) pgbench_accounts;
\endif
SQL
	system_or_bail('pgbench', '-i', '-q', '-s', '2', $node->connstr('postgres'));
	my $started = time;
	_run_with_points($node, $oracle, 3, \$started, 'pgbench', '-n', '-c', '6', '-j', '2', '-T', $seconds, '-b', 'tpcb-like@10', '-f', "$dir/ddl.sql\@1",
		'--max-tries=10', $node->connstr('postgres'));
	append_to_file("$dir/commit.sql", "SELECT pg_current_xact_id();\n");
	_run_with_points($node, $oracle, 3, \$started, 'pgbench', '-n', '-c', '24', '-j', '2', '-t', '2000', '-f', "$dir/commit.sql", $node->connstr('postgres'));
	return;
}

1;
