# A layer that cannot be read, or is damaged, is an honest error for what lies in it and for nothing else.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataFaults;
use Test::More;

my $node = new_faulty_node('damaged', log_statement => 'none', 'strata.memtable_size' => "'4MB'", 'strata.compaction' => 'off',
	max_wal_size => "'1GB'");
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE many (id int PRIMARY KEY, filler text);
INSERT INTO many SELECT i, repeat('f', 400) FROM generate_series(1, 4000) i;
CREATE TABLE rounds (n int);
SQL
my $sum = "SELECT count(*), md5(string_agg(filler, ',' ORDER BY id)) FROM many";

# Rounds of a change of every page, each in layers of its own, and the moment after each.
my @moments;

sub new_round
{
	my $n = @moments;
	$node->safe_psql('postgres', "CHECKPOINT; UPDATE many SET filler = 'round $n' || repeat(md5(id::text), 12); VACUUM many; INSERT INTO rounds VALUES ($n)");
	push @moments, { lsn => lsn_in($node), sum => $node->safe_psql('postgres', $sum) };
	return;
}

sub wrong_moments
{
	return join ', ', grep { at_lsn($node, $moments[$_]{lsn}, $sum) ne $moments[$_]{sum} } @_;
}

sub travel_to
{
	my ($moment) = @_;
	return try_sql($node, "SET strata.travel_lsn = '$moment->{lsn}'; $sum", stop => 1);
}

new_round() for 1 .. 12;
is(wrong_moments(0 .. $#moments), '', 'every moment is as it was');

# A disk that cannot read: another session than the one that has the blocks in memory.
fail_io('EIO', 'read', '/delta0');
my ($out, $error) = travel_to($moments[1]);
like($error, qr/58030: could not read "pg_strata\/delta0.*Input\/output error/, 'a layer that cannot be read is an error that names the file');
is($out, '', 'and no row is shown');
is($node->safe_psql('postgres', $sum), $moments[-1]{sum}, 'the present is not affected');
like(load_and_count(), qr/^\d+$/, 'it can be written');
heal_io();
is(wrong_moments(0 .. $#moments), '', 'once the disk reads again every moment is as it was');

sub load_and_count
{
	return $node->safe_psql('postgres', 'INSERT INTO rounds VALUES (0); SELECT count(*) FROM rounds');
}

# Values and index of one layer are damaged: it holds images of the pages as they were from round 2 to round 3.
my $layer = $node->safe_psql('postgres', <<"SQL");
SELECT name FROM strata.layers() WHERE level = 0 AND lsn_begin > '$moments[1]{lsn}' AND lsn_end < '$moments[2]{lsn}' ORDER BY bytes DESC LIMIT 1
SQL
like($layer, qr/^delta0/, 'there is a layer between two moments');
$node->stop;
damage_values($node->data_dir . "/pg_strata/$layer");
start_faulty($node);
wait_for_history($node);

# Two tests. The chains that status() looks at are picked at random: sooner or later one lies in the damaged layer.
sub goes_on_and_tells
{
	my ($name) = @_;
	is(state_of($node, 'state'), 'running', $name);
	ok($node->poll_query_until('postgres', qq{SELECT starts_with(last_error, 'file "pg_strata/$layer" is corrupt') FROM strata.status()}),
		'and status() names the damaged layer');
	return;
}

is($node->safe_psql('postgres', $sum), $moments[-1]{sum}, 'with a damaged layer the present is as it was');
is(wrong_moments(0, 1), '', 'moments before what is in it are as they were');
($out, $error) = travel_to($moments[2]);
like($error, qr/XX001: .*"?pg_strata\/\Q$layer\E"?.*/, 'a moment that needs it is refused as corrupt data, with the name of the file');
like($error, qr/HINT:  The present is not affected/, 'and a hint');
is($out, '', 'and no row is shown');
is(wrong_moments(4, 5), '', 'moments after it, which begin with newer images, are as they were');
goes_on_and_tells('history goes on');

# Merging goes round it.
new_round() for 1 .. 12;
my $log = -s $node->logfile;
$node->safe_psql('postgres', 'ALTER SYSTEM SET strata.compaction = on; SELECT pg_reload_conf()');
ok($node->wait_for_log(qr/WARNING:  strata: layers could not be merged: .*\Q$layer\E.*\n.*HINT:  These layers stay as they are, history goes on/, $log),
	'a merge of a damaged layer is given up, and says so');
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM strata.layers() WHERE level > 0 AND NOT image AND lsn_begin > '$moments[6]{lsn}'"),
	'newer layers are merged all the same');
is($node->safe_psql('postgres', "SELECT count(*) FROM strata.layers() WHERE name = '$layer'"), 1, 'the damaged one stays where it is');
is(wrong_moments(0, 1, 4 .. $#moments), '', 'and every other moment is as it was');
goes_on_and_tells('history runs');

# A layer is gone.
$node->stop;
unlink($node->data_dir . "/pg_strata/$layer");
start_faulty($node);
wait_for_history($node);
like((travel_to($moments[2]))[1], qr/ERROR: +\w{5}: .*\Q$layer\E/, 'a moment that needs a layer that is gone is refused');
is(wrong_moments(0, 1), '', 'moments before it are as they were');
is(load_and_count() > 0, 1, 'the present goes on');
log_is_clean($node, 'XX001');
$node->stop;
done_testing();
