# DBD::Pg (libpq): one line "name=value ..." a login on standard input, one walk and one line of output for each.
use strict;
use warnings;
use utf8;
use DBI;
use DBD::Pg qw(:async);

sub check { my ($is, $want, $what) = @_; $is eq $want or die "$what: $is instead of $want\n" }

sub state_of { my ($db, $code) = @_; eval { $code->() }; return $@ ? $db->state : 'no error' }

sub walk {
    my ($login) = @_;
    my ($user, $password, $table) = delete @{$login}{qw(user password table)};
    my $source = join ';', map { "$_=$login->{$_}" } sort keys %$login;
    my $db = DBI->connect("dbi:Pg:$source", $user, $password,
        { RaiseError => 1, PrintError => 0, AutoCommit => 1, pg_enable_utf8 => 1 }) or die $DBI::errstr;
    check(($db->selectrow_array('select 1'))[0], 1, 'simple');

    my $prepared = $db->prepare('select ?::int + 1, ?::text');
    for my $i (1 .. 12) {
        $prepared->execute($i, "ä$i");
        check(join(' ', $prepared->fetchrow_array), ($i + 1) . " ä$i", 'prepared');
    }
    $prepared->finish;

    $db->do("create table if not exists $table (i int, t text)");
    $db->do("delete from $table");
    $db->begin_work;
    $db->do("insert into $table values (?, ?)", undef, 1, 'gone');
    $db->rollback;
    $db->begin_work;
    $db->do("insert into $table values (?, ?)", undef, 2, 'kept');
    $db->commit;
    check(join(',', map { $_->[0] } @{ $db->selectall_arrayref("select t from $table") }), 'kept', 'transactions');

    check(state_of($db, sub { $db->do('select 1/0') }), '22012', 'error');
    check(state_of($db, sub { $db->selectall_arrayref('select * from nowhere_at_all where i = ?', undef, 1) }), '42P01', 'error');
    $db->begin_work;
    check(state_of($db, sub { $db->do('select 1/0') }), '22012', 'error in a transaction');
    check(state_of($db, sub { $db->do('select 1') }), '25P02', 'failed transaction');
    $db->rollback;
    check(($db->selectrow_array('select 2'))[0], 2, 'after a failed transaction');

    $db->do("copy $table from stdin");
    $db->pg_putcopydata("$_\tline $_\n") for 1 .. 1000;
    $db->pg_putcopyend;
    $db->do("copy (select i from $table where i > 2) to stdout");
    my ($line, $lines) = ('', 0);
    $lines++ while $db->pg_getcopydata($line) >= 0;
    check($lines, 998, 'copy');

    my $slow = $db->prepare('select pg_sleep(30)', { pg_async => PG_ASYNC });
    $slow->execute;
    select undef, undef, undef, 0.1;
    $slow->pg_cancel;
    check(($db->selectrow_array('select 3'))[0], 3, 'after a cancel');
    check(($db->selectrow_array('select sum(n) from generate_series(1, 50000) n'))[0], 1250025000, 'sum');
    check(scalar(@{ $db->selectall_arrayref('select n, repeat(md5(n::text), 4) from generate_series(1, 20000) n') }), 20000, 'rows');
    $db->disconnect;
}

$| = 1;
while (my $line = <STDIN>) {
    my %login = map { split /=/, $_, 2 } split ' ', $line;
    my $user = $login{user};
    eval { walk(\%login) };
    print "$user: ", ($@ ? "failed: $@" =~ s/\s+/ /gr : 'done'), "\n";
}
