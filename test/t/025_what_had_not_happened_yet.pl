# A moment given as a time lies before whatever had not happened yet: the unfinished work of the transaction that ends next
# does not belong to it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('unfinished', autovacuum => 'off', max_prepared_transactions => 2);
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE t (id serial, a int); INSERT INTO t (a) SELECT generate_series(1, 10)');
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE TABLE goods (a int); INSERT INTO goods SELECT generate_series(1, 100)');

my $sizes = q{SELECT pg_relation_size('t'), (SELECT last_value <= 42 FROM t_id_seq), (SELECT count(*) FROM t)};
my @moments;

# Remembers what a session sees now, and that it is to see that at this time for ever.
sub note_moment
{
	my ($what, $db, $query) = @_;
	my $lsn = lsn_in($node);
	push @moments, { what => $what, time => now_in($node), lsn => $lsn, db => $db, query => $query,
		expected => $node->safe_psql($db, $query) };
	return;
}

note_moment('before a bulk load', 'postgres', $sizes);
$node->safe_psql('postgres', 'INSERT INTO t (a) SELECT generate_series(1, 20000)');
$node->safe_psql('postgres', 'TRUNCATE t RESTART IDENTITY; INSERT INTO t (a) VALUES (1)');
note_moment('before a load that is rolled back', 'postgres', $sizes);
$node->safe_psql('postgres', 'BEGIN; INSERT INTO t (a) SELECT generate_series(1, 20000); ROLLBACK');
note_moment('before a load that is prepared', 'postgres', "SELECT pg_relation_size('t')");
$node->safe_psql('postgres', "BEGIN; INSERT INTO t (a) SELECT generate_series(1, 20000); PREPARE TRANSACTION 'p'");
my $prepared = now_in($node);
my $prepared_lsn = lsn_in($node);
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
note_moment('before a database is dropped', 'shop', "SELECT count(*), pg_relation_size('goods') FROM goods");
my $drop = $moments[-1];
note_moment('the databases before one is dropped', 'postgres', 'SELECT datname, pg_database_size(oid) > 1000000 FROM pg_database ORDER BY 1');
# Sizes of the past count what is in WAL: asked for at the LSN.
$moments[-1]{expected} = travel_to_lsn($moments[-1], "-c strata.travel_lsn=$moments[-1]{lsn}");

sub travel_to_lsn
{
	my ($moment, $options) = @_;
	my ($out, $error) = try_sql($node, $moment->{query}, db => $moment->{db}, options => $options);
	diag($error) if $error;
	return $out;
}

# While a session is connected to a database, it cannot be dropped: this one stays before the drop by its number alone.
my $files = q{SELECT sum(blocks) FROM pg_class c, LATERAL strata.relation_digest(c.oid) WHERE relname = 'goods'};
my $shop_oid = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'shop'");
my $goods = $node->safe_psql('shop', "SELECT pg_relation_filenode('goods')");
for my $moment (@moments)
{
	is(travel_to_lsn($moment, pgoptions($moment->{time})), $moment->{expected}, "$moment->{what}, while nothing came after it");
}
$node->safe_psql('postgres', 'DROP DATABASE shop');
my $digest = "SELECT blocks FROM strata.file_digest(1663, $shop_oid, $goods, 'main', 'Heap')";
is(travel_to_lsn({ db => 'postgres', query => $digest }, pgoptions($drop->{time})), 1, 'a database that is about to be dropped has its files');
$node->safe_psql('postgres', 'CREATE TABLE later (a int)');

for my $round ('in memory', 'after a flush and a restart')
{
	for my $moment (grep { $_->{db} ne 'shop' } @moments)
	{
		is(travel_to_lsn($moment, pgoptions($moment->{time})), $moment->{expected}, "$moment->{what}, $round");
	}
	is(travel_to_lsn({ db => 'postgres', query => "SELECT pg_relation_size('t')" }, pgoptions($prepared)), $moments[2]{expected},
		"a prepared transaction has not ended: its pages come with COMMIT PREPARED, $round");
	is($node->safe_psql('postgres', "SELECT count(*) FROM unnest(ARRAY[" . join(', ', map { "'$_->{time}'" } @moments)
			. "]::timestamptz[]) moment WHERE strata.time_at(strata.lsn_at(moment)) > moment"), 0,
		"no commit later than the time lies before its LSN, $round");
	$node->restart if $round eq 'in memory';
}

# 'now' is the end of the last transaction, whatever is under way.
my $busy = $node->background_psql('postgres');
$busy->query_safe('BEGIN; INSERT INTO t (a) SELECT generate_series(1, 20000)');
my $before = $node->safe_psql('postgres', "SELECT pg_relation_size('t')");
my $now = travel_to_lsn({ db => 'postgres', query => "SELECT pg_relation_size('t'), strata.lsn_at('now') = pg_last_wal_replay_lsn()" },
	pgoptions('now'));
cmp_ok((split /\|/, $now)[0], '<', $before, "'now' does not hold what a transaction under way has written");
is((split /\|/, $now)[1], 't', 'asked again, now is the same moment as long as no transaction ends');
$busy->query_safe('COMMIT');
$busy->quit;
is(travel_to_lsn({ db => 'postgres', query => "SELECT pg_relation_size('t')" }, pgoptions('now')), $before,
	'when it has committed, now holds it');

log_is_clean($node);
$node->stop;
done_testing();
