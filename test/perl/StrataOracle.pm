# The oracle that we did not write: PostgreSQL's point-in-time recovery, against a travelling session at the same point.
#
# A point as LSN is where a WAL record ends. recovery_target_lsn with recovery_target_inclusive = off replays the records
# that begin before the target; strata.travel_lsn shows the records that end at or before it. At the end of a record these
# are the same records. A point as time is compared twice: its rows with recovery_target_time on a server of its own, and
# everything, pages as well, with recovery_target_lsn at the LSN that the time stands for: recovery to a time has also replayed
# what the next transaction wrote before its commit.
#
# The recovered server's next transaction ID may be ahead: a hot standby also takes it from the primary's RUNNING_XACTS
# and ASSIGNMENT records, which plain recovery does not read. What is ahead are transactions that have left no trace yet.
package StrataOracle;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata qw(new_node lsn_in);
use StrataFigures;
use StrataPoints;
use StrataRecovered;
use StrataWorkload qw(workload_conf);
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(new_observed_node oracle_seed pitr_test);

# A started node with history and an archive. The extension is in every database to come.
sub new_observed_node
{
	my ($name, %conf) = @_;
	my $init = delete $conf{init} // [];
	my $node = new_node($name, %conf, init => [ has_archiving => 1, allows_streaming => 1, @$init ]);
	$node->safe_psql($_, 'CREATE EXTENSION strata') for ('template1', 'postgres');
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_walinspect');
	return $node;
}

# The seed of the run, and its announcement.
sub oracle_seed
{
	my $seed = $ENV{ORACLE_SEED} // int rand 1_000_000;
	diag("seed $seed: repeat with ORACLE_SEED=$seed");
	return $seed;
}

# One test: a workload, then every point of it. $workload is called with the node, the oracle and the seed.
#   anywhere, odd, commits, disorder, groups   how many random points there are: see StrataPoints, and note_between()
sub pitr_test
{
	my ($name, $workload, %option) = @_;
	my $seed = oracle_seed();
	my $node = new_observed_node($name, workload_conf(), %{ $option{conf} // {} });
	$option{prepare}->($node) if $option{prepare};
	my $oracle = StrataOracle->begin($node);
	$workload->($node, $oracle, $seed);
	$oracle->choose_points($seed, %option);
	cmp_ok($oracle->{wal}{inversions}, '>=', $option{disorder}, "$name: enough commits come into WAL after later ones") if $option{disorder};
	my @differences = $oracle->compare(sub { note($_[0]) });
	diag("$name, seed $seed: " . $oracle->summary);
	note_figures("$name.pitr", $oracle->figures, wal_statistics($node, @$oracle{qw(start end)}));
	is(join("\n", splice(@differences, 0, 20)), '', "$name: at every point a travelling session sees what point-in-time recovery leaves");
	$node->stop;
	return;
}

# Takes the base backup: every point must be later.
sub begin
{
	my ($class, $node) = @_;
	$node->backup('base');
	my $self = {
		node => $node,
		start => lsn_in($node),
		points => [],
		between => [],
		recovery => undef,
		recovery_by_time => undef,
		recovered => undef,
		pages => 0, relations => 0, databases => 0, gone => 0, dumped => 0, xids => 0, multixacts => 0,
		differences => [],
		dir => PostgreSQL::Test::Utils::tempdir };
	return bless $self, $class;
}

# A point that lies where a record ends, and what happens there.
sub at_lsn
{
	my ($self, $lsn, $what) = @_;
	push @{ $self->{points} }, { setting => 'lsn', value => $lsn, lsn => $lsn, what => $what };
	return;
}

sub at_time
{
	my ($self, $time, $what) = @_;
	my $lsn = $self->{node}->safe_psql('postgres', "SELECT strata.lsn_at('$time')");
	push @{ $self->{points} }, { setting => 'time', value => $time, lsn => $lsn, what => $what };
	return;
}

# The workload is between two of its parts: points may be chosen from these moments.
sub note_between
{
	my ($self, $what) = @_;
	push @{ $self->{between} }, [ lsn_in($self->{node}), $what ];
	return;
}

# The points of a workload that is over. The same seed makes the same choices.
sub choose_points
{
	my ($self, $seed, %count) = @_;
	my $node = $self->{node};
	$self->{end} = $node->safe_psql('postgres', 'CHECKPOINT; SELECT pg_current_wal_insert_lsn()');
	my $points = $self->{wal} = StrataPoints->new($node, @$self{qw(start end)});
	srand($seed);
	my $rand = sub { rand $_[0] };
	my $factor = $ENV{ORACLE_POINTS_FACTOR} // 1;
	my %wanted = map { $_ => int($factor * ($count{$_} // 0)) } qw(anywhere odd commits disorder groups);
	$self->at_lsn(@$_) for $points->anywhere($wanted{anywhere}, $rand), $points->around_odd_records($wanted{odd}, $rand);
	$self->at_time(@$_) for $points->around_commits($wanted{commits}, $rand), $points->out_of_order($wanted{disorder}, $rand);
	for (1 .. ($wanted{groups} < @{ $self->{between} } ? $wanted{groups} : @{ $self->{between} }))
	{
		$self->at_lsn(@{ splice(@{ $self->{between} }, int $rand->(scalar @{ $self->{between} }), 1) });
	}
	$self->at_lsn($self->{end}, 'the end');
	return;
}

# Arguments of strata.file_digest() for every file of a database that WAL keeps.
my $files_of_database = q{
SELECT format('%s, %s, %s, %L, %L', CASE c.reltablespace WHEN 0 THEN b.dattablespace ELSE c.reltablespace END, b.oid,
              pg_relation_filenode(c.oid), fork, CASE WHEN c.relkind = 'S' THEN 'Sequence' ELSE coalesce(manager, 'Generic') END)
FROM pg_database b, pg_class c JOIN pg_am a ON a.oid = c.relam OR (c.relkind = 'S' AND a.amname = 'heap')
LEFT JOIN (VALUES ('heap_tableam_handler', 'Heap'), ('bthandler', 'Btree'), ('hashhandler', 'Hash'), ('ginhandler', 'Gin'),
                  ('gisthandler', 'Gist'), ('spghandler', 'SPGist'), ('brinhandler', 'BRIN')) AS m (handler, manager)
       ON handler = a.amhandler::text,
unnest(CASE c.relpersistence WHEN 'u' THEN ARRAY['init'] ELSE ARRAY['main', 'vm'] END) AS fork
WHERE b.datname = current_database() AND c.relkind IN ('r', 'i', 'S', 't', 'm') AND c.relpersistence <> 't' AND NOT c.relisshared
ORDER BY c.oid, fork};

my $databases = 'SELECT datname, oid FROM pg_database WHERE datallowconn AND datconnlimit <> -2 ORDER BY oid';

# Compares all points, in the order of WAL. Prints a line for each through $say. Returns the differences. May be called
# again, for other history of the same WAL.
sub compare
{
	my ($self, $say) = @_;
	my $node = $self->{node};
	$self->{differences} = [];
	$node->safe_psql('postgres', 'ALTER DATABASE template0 ALLOW_CONNECTIONS true');
	$self->{template0} = $node->safe_psql('template0', $files_of_database);
	$node->safe_psql('postgres', 'ALTER DATABASE template0 ALLOW_CONNECTIONS false');
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
	my $end = lsn_in($node);
	$node->safe_psql('postgres', "CHECKPOINT; SELECT strata.wait_for('$end')");
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
	$node->poll_query_until('postgres', "SELECT last_archived_wal >= pg_walfile_name('$end') FROM pg_stat_archiver")
	  or die 'WAL is not archived';
	my %order = map { $_ => StrataPoints::number_of_lsn($_->{lsn}) } @{ $self->{points} };
	my $number = 0;
	for my $point (sort { $order{$a} <=> $order{$b} } @{ $self->{points} })
	{
		my $begin = time;
		$self->{label} = sprintf('point %d (%s %s, %s)', ++$number, $point->{setting}, $point->{value}, $point->{what});
		my $before = @{ $self->{differences} };
		my $pages = $self->{pages};
		$self->_recover_to($point);
		my $recovered = time;
		$self->_compare_at($point);
		$self->_leave('recovery');
		$self->_compare_rows_by_time($point) if $point->{setting} eq 'time';
		$say->(sprintf('%s: %s, %d pages, recovery %.1f s, comparison %.1f s', $self->{label},
			@{ $self->{differences} } == $before ? 'same' : (@{ $self->{differences} } - $before) . ' DIFFERENCES',
			$self->{pages} - $pages, $recovered - $begin, time - $recovered)) if $say;
	}
	for my $recovery (grep { $_ } @$self{qw(recovery recovery_by_time)}) { $recovery->discard; }
	@$self{qw(recovery recovery_by_time)} = ();
	return @{ $self->{differences} };
}

sub figures
{
	my ($self) = @_;
	return { points => scalar @{ $self->{points} }, differences => scalar @{ $self->{differences} },
		map { $_ => $self->{$_} } qw(databases relations pages xids multixacts dumped) };
}

sub summary
{
	my ($self) = @_;
	my $figures = $self->figures;
	return sprintf(
		'%d points, %d databases (%d of them gone since), %d relations, %d pages, %d transaction statuses, %d multixacts, %d bytes of dumps compared: %d differences',
		@$figures{qw(points databases)}, $self->{gone}, @$figures{qw(relations pages xids multixacts dumped differences)});
}

sub _recover_to
{
	my ($self, $point) = @_;
	$self->{recovery} //= StrataRecovered->new($self->{node});
	$self->{recovered} = $self->{recovery}->server;
	my $replayed = $self->{recovery}->recover_to('lsn', $point->{lsn});
	my $behind = $self->{recovered}->safe_psql('postgres', "SELECT '$point->{lsn}'::pg_lsn - '$replayed'::pg_lsn");
	# At the end of a page of WAL a point may lie behind the header of the next page.
	$self->_differs("recovery stopped at $replayed, travel goes to $point->{lsn}") if $behind < 0 || $behind > 40;
	return;
}

# $which: recovery or recovery_by_time.
sub _leave
{
	my ($self, $which) = @_;
	my $recovery = $self->{$which};
	$recovery->stop;
	return if !$recovery->at_end;
	$recovery->discard;
	$self->{$which} = undef;
	return;
}

# PostgreSQL's own reading of a time: the rows of all databases that its recovery leaves, as dumps. Sequences are no rows
# of a transaction, and a database that is about to be dropped is gone there already.
sub _compare_rows_by_time
{
	my ($self, $point) = @_;
	$self->{recovery_by_time} //= StrataRecovered->new($self->{node});
	my $replayed = $self->{recovery_by_time}->recover_to('time', $point->{value});
	$self->{recovered} = $self->{recovery_by_time}->server;
	my $ahead = $self->{recovered}->safe_psql('postgres', "SELECT '$replayed'::pg_lsn - '$point->{lsn}'::pg_lsn");
	$self->_differs("recovery to a time stopped at $replayed, before $point->{lsn}") if $ahead < -40;
	my $expected = $self->{wal}->last_end_at($point->{value});
	$self->_differs("travel goes to $point->{lsn}, WAL says $expected") if defined $expected && $point->{lsn} ne $expected;
	my ($recovered, $past) = $self->_both($point, 'postgres', $databases);
	my %there = map { $_ => 1 } split /\n/, $recovered;
	$self->_compare_dumps($point, rows_only => 1, dropping => [ map { (split /\|/)[0] } grep { !$there{$_} } split /\n/, $past ]);
	$self->_leave('recovery_by_time');
	return;
}

sub _differs
{
	my ($self, $what) = @_;
	push @{ $self->{differences} }, "$self->{label}: $what";
	return;
}

# What a query answers on the recovered server and in the past.
sub _both
{
	my ($self, $point, $db, $sql) = @_;
	my @got;
	for my $side ([ $self->{recovered}, '' ], [ $self->{node}, "-c strata.travel_lsn=$point->{lsn}" ])
	{
		local $ENV{PGOPTIONS} = $side->[1];
		local $ENV{PGOPTIONS} = "-c strata.travel_time=" . ($point->{value} =~ s/ /\\ /gr)
		  if $side->[1] ne '' && $point->{setting} eq 'time';
		my ($out, $error) = ('', '');
		my $status = $side->[0]->psql($db, $sql, stdout => \$out, stderr => \$error, on_error_stop => 1);
		$self->_differs(($side->[1] eq '' ? 'recovered' : 'past') . " server, database $db: $error") if $status != 0;
		push @got, $out;
	}
	return @got;
}

sub _same
{
	my ($self, $point, $db, $what, $sql) = @_;
	my ($recovered, $past) = $self->_both($point, $db, $sql);
	$self->_differs("$what in $db: recovered '$recovered', past '$past'") if $recovered ne $past;
	return $recovered;
}

my $relations = q{
SELECT c.oid, c.relname, c.relkind, pg_relation_filenode(c.oid), d.fork, d.blocks, d.digest
FROM pg_class c LEFT JOIN LATERAL strata.relation_digest(c.oid) d ON true
WHERE c.relkind IN ('r', 'i', 'S', 't', 'm') AND c.relpersistence <> 't' AND (%s)
ORDER BY c.oid, d.fork};

sub _compare_at
{
	my ($self, $point) = @_;
	my $now = $self->{node}->safe_psql('postgres', $databases);
	my %now = map { $_ => 1 } split /\n/, $now;
	my @by_number;
	for my $row (split /\n/, $self->_same($point, 'postgres', 'databases', $databases))
	{
		my ($db) = split /\|/, $row;
		++$self->{gone} if !$now{$row};
		# A database that was made from template0 has no functions of ours.
		my $has = $self->{recovered}->safe_psql($db, q{SELECT count(*) FROM pg_proc WHERE proname = 'relation_digest'});
		if ($has) { ++$self->{databases}; $self->_compare_relations($point, $db); }
		else { push @by_number, $db }
	}
	# Which files there are is the recovered server's to say; of template0 it is the same at all times.
	$self->_compare_files($point, $_, $self->{recovered}->safe_psql($_, $files_of_database)) for @by_number;
	$self->_compare_files($point, 'template0', $self->{template0});
	$self->_compare_transactions($point);
	$self->_compare_dumps($point, dropping => []);
	return;
}

# A database that has no functions of ours.
sub _compare_files
{
	my ($self, $point, $db, $files) = @_;
	my @rows = split /\n/, $files;
	++$self->{databases};
	$self->{relations} += @rows;
	my $values = join(', ', map { "($_)" } @rows);
	my $found = $self->_same($point, 'postgres', "files of $db", <<"SQL");
SELECT f.*, d.* FROM (VALUES $values) AS f (tablespace, database, filenode, fork, manager),
       LATERAL strata.file_digest(tablespace::oid, database::oid, filenode::oid, fork, manager) d
SQL
	$self->{pages} += ((split /\|/)[5] || 0) for split /\n/, $found;
	return;
}

sub _compare_relations
{
	my ($self, $point, $db) = @_;
	my ($recovered, $past) = $self->_both($point, $db, sprintf($relations, $db eq 'postgres' ? 'true' : 'NOT c.relisshared'));
	my @recovered = split /\n/, $recovered;
	$self->{relations} += @recovered;
	$self->{pages} += ((split /\|/)[5] || 0) for @recovered;
	return if $recovered eq $past;
	my %past = map { $_ => 1 } split /\n/, $past;
	my %recovered = map { $_ => 1 } @recovered;
	my @only = ((map { "recovered $_" } grep { !$past{$_} } @recovered), (map { "past $_" } grep { !$recovered{$_} } split /\n/, $past));
	@only = sort { (split / /, $a, 2)[1] cmp (split / /, $b, 2)[1] } @only;
	$self->_differs("relations in $db: " . join(', ', splice(@only, 0, 12)));
	my %seen;
	for my $row (@only, grep { !$past{$_} } @recovered)
	{
		$row =~ s/^(recovered|past) //;
		my ($oid, undef, undef, undef, $fork) = split /\|/, $row;
		next if !$fork || $seen{"$oid $fork"}++ || keys %seen > 3;
		$self->_compare_pages($point, $db, $oid, $fork);
	}
	return;
}

# Says which blocks of a relation differ, and where first.
sub _compare_pages
{
	my ($self, $point, $db, $oid, $fork) = @_;
	my ($recovered, $past) = $self->_both($point, $db, "SELECT block, digest, encode(masked, 'hex') FROM strata.page_digests($oid, '$fork')");
	my (%bytes, %digest);
	for my $side ([ 0, $recovered ], [ 1, $past ])
	{
		for my $row (split /\n/, $side->[1])
		{
			my ($block, $digest, $masked) = split /\|/, $row;
			next unless defined $masked;
			$bytes{$block}[ $side->[0] ] = $masked;
			$digest{$block}[ $side->[0] ] = $digest;
		}
	}
	my @differ = grep { ($digest{$_}[0] // '') ne ($digest{$_}[1] // '') } sort { $a <=> $b } keys %digest;
	for my $block (splice(@differ, 0, 3))
	{
		my ($left, $right) = map { $bytes{$block}[$_] // '' } 0, 1;
		my $at = 0;
		++$at while $at < length($left) && substr($left, $at, 2) eq substr($right, $at, 2) && ($at += 1);
		$at -= $at % 2;
		$self->_differs(sprintf('page: database %s relation %s fork %s block %s byte %d: recovered %s, past %s (LSNs masked)',
			$db, $oid, $fork, $block, $at / 2, substr($left, $at, 32), substr($right, $at, 32)));
	}
	return;
}

sub _compare_transactions
{
	my ($self, $point) = @_;
	my ($recovered, $past) = map { [ split /\|/ ] } $self->_both($point, 'postgres',
		'SELECT strata.next_xid(), greatest(3, min(datfrozenxid::text::bigint)) FROM pg_database');
	return if !defined $recovered->[1] || !defined $past->[1];
	my $oldest = $past->[1];
	$self->_differs("oldest transaction: recovered $recovered->[1], past $oldest") if $recovered->[1] ne $oldest;
	($recovered, $past) = ($recovered->[0], $past->[0]);
	my $standby = $self->{wal}->next_xid_of_standby($point->{lsn});
	my $expected = $past =~ /^\d+$/ && $standby > $past ? $standby : $past;
	$self->_differs("next transaction ID: recovered $recovered, past $past, as a standby $standby") if $recovered ne $expected;
	my $digest = $self->_same($point, 'postgres', 'commit log', "SELECT '$oldest - $past', * FROM strata.commit_log_digest('$oldest', '$past')");
	$self->{xids} += $past - $oldest if $digest =~ /^\d/ && $past =~ /^\d+$/;

	my $range = $self->{recovered}->safe_psql('postgres', 'SELECT * FROM strata.multixact_range()');
	my ($first, $next) = split /\|/, $range;
	my $multixacts = $self->_same($point, 'postgres', 'multixacts', "SELECT '$range', * FROM strata.multixact_digest('$first', '$next')");
	$self->{multixacts} += $next - $first;
	return;
}

sub _compare_dumps
{
	my ($self, $point, %option) = @_;
	# Between the record of DROP TABLESPACE and the commit, PostgreSQL has the row and no longer the place.
	my (undef, undef, $error) = $self->{recovered}->psql('postgres', 'SELECT pg_tablespace_location(oid) FROM pg_tablespace');
	my @options = $error =~ /could not stat file "pg_tblspc/ ? '--no-tablespaces' : ();
	my @runs;
	for my $side ([ 'recovered', $self->{recovered}, '' ], [ 'past', $self->{node}, "-c strata.travel_lsn=$point->{lsn}" ])
	{
		my ($name, $server, $options) = @$side;
		my $file = "$self->{dir}/$name.sql";
		unlink $file;
		local $ENV{PGOPTIONS} = $options;
		local $ENV{PGOPTIONS} = "-c strata.travel_time=" . ($point->{value} =~ s/ /\\ /gr) if $options && $point->{setting} eq 'time';
		push @runs, IPC::Run::start(
			[ 'pg_dumpall', '--no-unlogged-table-data', @options, '-d', $server->connstr('postgres'), '-f', $file,
				(map { "--exclude-database=\"$_\"" } @{ $option{dropping} }) ],
			'<', \undef, '>', "$file.out", '2>', "$file.err");
	}
	for my $run (@runs)
	{
		$self->_differs('pg_dumpall fails') if !$run->finish;
	}
	my @texts;
	for my $name ('recovered', 'past')
	{
		my $text = slurp_file("$self->{dir}/$name.sql.err") . slurp_file("$self->{dir}/$name.sql");
		$text =~ s/^\\(un)?restrict .*\n//mg;
		$text =~ s/port \d+//g;
		$text =~ s/^(SELECT pg_catalog\.setval\().*\n//mg if $option{rows_only};
		push @texts, $text;
	}
	$self->{dumped} += length $texts[0];
	return if $texts[0] eq $texts[1];
	my $diff = `diff "$self->{dir}/recovered.sql.err" "$self->{dir}/past.sql.err"; diff "$self->{dir}/recovered.sql" "$self->{dir}/past.sql" | grep -v restrict | head -20`;
	$self->_differs("pg_dumpall: $diff");
	return;
}

1;
