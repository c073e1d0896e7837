# Row locks of moments before and after multixacts and their members begin anew at 2^32, and before PostgreSQL has removed
# those of that time, are those of their time.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataCounters;
use Test::More;

my $node = new_node_near_multixact('multixacts', 2**32 - 6, 2**32 - 9);
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE EXTENSION amcheck;
CREATE EXTENSION pgrowlocks;
CREATE TABLE t (a int PRIMARY KEY, b int);
INSERT INTO t SELECT i, 0 FROM generate_series(1, 8) i;
SQL
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;

# What a moment's multixacts say: the rows, who locked them, and the counters. A LSN is exact: no other transaction has begun.
my @queries = (
	'rows' => q{SELECT string_agg(format('%s:%s', a, b), ',' ORDER BY a) FROM t},
	'lockers and updaters' => q{SELECT t.a, t.xmax, m.* FROM t, pg_get_multixact_members(t.xmax) m WHERE a = 1},
	'pgrowlocks' => q{SELECT locked_row, locker, multi, xids, modes FROM pgrowlocks('t') ORDER BY 1},
	'age of the latest multixact' => q{SELECT mxid_age(xmax) FROM t WHERE a = 1},
	'ages of databases' => q{SELECT datname, mxid_age(datminmxid) FROM pg_database ORDER BY 1},
	'amcheck' => q{SELECT * FROM verify_heapam('t')});
my @moments;

sub remember_lsn
{
	my ($what) = @_;
	my @answers;
	for (my $i = 0; $i < @queries; $i += 2)
	{
		push @answers, [ $queries[$i], $queries[ $i + 1 ], $node->safe_psql('postgres', $queries[ $i + 1 ]) ];
	}
	push @moments, [ $what, lsn_in($node), @answers ];
	return;
}

sub still_holds_at_lsn
{
	my ($suffix) = @_;
	for my $moment (@moments)
	{
		my ($what, $lsn, @answers) = @$moment;
		is(at_lsn($node, $lsn, $_->[1]), $_->[2], "$what: $_->[0], $suffix") for @answers;
	}
	return;
}

# Three transactions hold the same row, which takes two multixacts, and one of them updates another row.
sub lock_rows
{
	my ($what) = @_;
	$sessions[0]->query_safe('BEGIN; SELECT a FROM t WHERE a <= 2 FOR KEY SHARE');
	$sessions[1]->query_safe('BEGIN; SELECT a FROM t WHERE a = 1 FOR KEY SHARE; UPDATE t SET b = b + 1 WHERE a = 2');
	$sessions[2]->query_safe('BEGIN; SELECT a FROM t WHERE a = 1 FOR KEY SHARE');
	remember_lsn("$what, locked");
	$sessions[1]->query_safe('COMMIT');
	remember_lsn("$what, one committed");
	$sessions[0]->query_safe('ROLLBACK');
	$sessions[2]->query_safe('COMMIT');
	remember_lsn("$what, all ended");
	return;
}

sub latest_multixact
{
	return $node->safe_psql('postgres', 'SELECT xmax FROM t WHERE a = 1');
}

lock_rows('before 2^32');
is(latest_multixact(), 2**32 - 4, 'multixacts are about to begin anew');
lock_rows('at 2^32');
is(latest_multixact(), 2**32 - 1, 'the last one is taken');
# A checkpoint that names 0, which is none, as the next one.
$node->safe_psql('postgres', 'CHECKPOINT');
remember_lsn('after a checkpoint at 2^32');
lock_rows('after 2^32');
cmp_ok(latest_multixact(), '<', 10, 'multixacts have begun anew');
$node->safe_psql('postgres', 'CHECKPOINT');
remember_lsn('after the next checkpoint');
lock_rows('later');
still_holds_at_lsn('later');

my @before = map { slru_segments($node, "pg_multixact/$_") } qw(offsets members);
like("@before", qr/FFFF.* 14078/, 'the segments before 2^32 are there');
$_->quit for @sessions;
freeze_everything($node);
my @after = map { slru_segments($node, "pg_multixact/$_") } qw(offsets members);
is("@after", '0000 0000', 'PostgreSQL has removed them after VACUUM FREEZE');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE xmax::text <> \'0\''), 0, 'no row names a multixact any more');
still_holds_at_lsn('frozen since');
$node->restart;
wait_for_history($node);
still_holds_at_lsn('frozen since, after a restart');

# Beyond the horizon only those stay that a page may still name.
sub known_multixacts
{
	my ($out, $error) = run_command([ 'pg_strata', 'dump', '--kind', 'multixact', '--values', 'none', $node->data_dir ]);
	die "pg_strata dump: $error" if $error ne '';
	my %known = map { $_ => 1 } $out =~ /^  multixact (\d+) /mg;
	return join(' ', sort { $a <=> $b } keys %known);
}

@sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;
$node->safe_psql('postgres', 'CHECKPOINT');
lock_rows('after freezing');
my $frozen = reached_lsn($node);
$node->safe_psql('postgres', 'SELECT pg_current_xact_id()');
$node->safe_psql('postgres', q{ALTER SYSTEM SET strata.retention_time = '1s'; SELECT pg_reload_conf()});
ok($node->poll_query_until('postgres', "SELECT lsn >= '$frozen' FROM strata.horizon()"), 'the horizon passes all of that');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET strata.retention_time; SELECT pg_reload_conf()');
my $needed = $node->safe_psql('postgres', q{SELECT string_agg(m::text, ' ' ORDER BY m) FROM strata.multixact_range(), generate_series(oldest::text::int, next::text::int - 1) m});
like($needed, qr/^\d+ \d+/, 'some multixacts are younger than what was frozen');
my $known = '';
poll_until(sub { ($known = known_multixacts()) eq $needed }, 0.1);
is($known, $needed, 'and only they are known any more');
@moments = ();
remember_lsn('at the horizon');
still_holds_at_lsn('whose multixacts were kept');
$_->quit for @sessions;

no_mismatch($node);
# VACUUM says that the ages of databases lay in the future.
log_is_clean($node, 'overwrote invalid relminmxid|found bogus');
$node->stop;
done_testing();
