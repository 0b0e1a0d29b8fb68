import Auth
import Config
import Pool
import Primitives
import Session

/// Lines and servers over all workers: who waits where, and where a server goes that is free.
///
/// A query that finds a server here never comes near this. A worker with a line tells of it once the first
/// client has waited a `lineReportPeriod`, or at once when it has no server of the pool at all. The keeper
/// gives what it has idle, asks mates for what they can spare, and only then opens; and it tells those who
/// have servers since when others wait, so that whoever sets one free gives it to the line that is older by
/// more than `fairness`.
extension Switchboard {
    // MARK: Lines

    /// A line has grown: see to it that it is looked at.
    mutating func watchLine(of pool: PoolID, now: Instant) {
        guard !pools[pool].loans.isWatched else { return }
        pools[pool].loans.isWatched = true
        watchedPools.append(pool)
        armLineTimer(now)
    }

    mutating func lookAtLines(now: Instant, into actions: inout ActionList) {
        hasLineTimer = false
        let watched = watchedPools
        watchedPools = []
        if crew.isMate {
            reportLines(of: watched, now: now, into: &actions)
        } else {
            distribute(watched, now: now, into: &actions)
        }
        if !watchedPools.isEmpty { armLineTimer(now) }
    }

    private mutating func armLineTimer(_ now: Instant) {
        if hasLineTimer { return }
        hasLineTimer = true
        timers.add(.lines, at: now + Limits.lineReportPeriod)
    }

    private func lineHere(_ pool: PoolID) -> Loans.Waiting {
        var line = Loans.Waiting()
        if let slot = pools[pool].waiting.first, let client = clients.id(at: slot) {
            line = Loans.Waiting(count: pools[pool].waiting.count, since: clients[client].waitingSince)
        }
        if let first = pools[pool].lookups.first {
            line.count += pools[pool].lookups.count
            line.since = min(line.since, lookups[first].since)
        }
        if let first = pools[pool].replicationLine.first {
            line.count += pools[pool].replicationLine.count
            line.since = min(line.since, clients[first].waitingSince)
        }
        return line
    }

    /// What the keeper is told of the line here.
    private func told(_ line: Loans.Waiting, of pool: PoolID) -> Line {
        var behind: [Instant] = []
        var slot = pools[pool].waiting.first
        while let current = slot, behind.count < Limits.knownBehind {
            slot = pools[pool].waiting.next(after: current, in: clientMembers)
            if let slot, let client = clients.id(at: slot) { behind.append(clients[client].waitingSince) }
        }
        return Line(pool: label(of: pool), count: line.count, since: line.since, behind: behind)
    }

    private func isOld(_ line: Loans.Waiting, _ now: Instant) -> Bool {
        line.count > 0 && now.since(line.since) >= Limits.lineReportPeriod
    }

    func hasLineHere(_ pool: PoolID) -> Bool {
        !pools[pool].waiting.isEmpty || pools[pool].hasSideLine
    }

    /// Somebody waits for a server of this pool, on whichever worker.
    func hasLine(_ pool: PoolID) -> Bool {
        hasLineHere(pool) || pools[pool].loans.mates.contains { $0.line.count > 0 }
    }

    // MARK: At a mate

    private mutating func reportLines(
        of watched: [PoolID], now: Instant, into actions: inout ActionList
    ) {
        var lines: [Line] = []
        for pool in watched where pools.contains(pool) {
            let line = lineHere(pool)
            let reported = pools[pool].loans.reported
            let isDue = isOld(line, now) || pools[pool].lists.here == 0 || reported.count > 0
            if isDue, line != reported {
                lines.append(told(line, of: pool))
                pools[pool].loans.reported = line
            }
            giveToRivals(pool, now: now, into: &actions)
            let hasRivals = pools[pool].loans.rivals.count > 0 && pools[pool].lists.here > 0
            if line.count > 0 || hasRivals {
                watchedPools.append(pool)
            } else {
                pools[pool].loans.isWatched = false
            }
        }
        if !lines.isEmpty { post(.lines(lines), to: .keeper, into: &actions) }
    }

    /// Tells the keeper of the line here.
    private mutating func report(_ line: Loans.Waiting, of pool: PoolID, into actions: inout ActionList) {
        pools[pool].loans.reported = line
        post(.lines([told(line, of: pool)]), to: .keeper, into: &actions)
    }

    /// What the keeper believes of the line here may be wrong from now on: it is told again.
    mutating func reportAgain(of pool: PoolID, now: Instant, into actions: inout ActionList) {
        pools[pool].loans.reported = Loans.Waiting(count: 1, since: .zero)
        watchLine(of: pool, now: now)
        let line = lineHere(pool)
        guard pools[pool].lists.here == 0, line.count > 0 else { return }
        report(line, of: pool, into: &actions)
    }

    /// A server is about to go home: the keeper is told first who waits here, so that it does not send the
    /// server back for somebody who has been served.
    mutating func tellLine(of pool: PoolID, now: Instant, into actions: inout ActionList) {
        let line = lineHere(pool)
        guard line.count > 0 || pools[pool].loans.reported.count > 0 else { return }
        watchLine(of: pool, now: now)
        report(line, of: pool, into: &actions)
    }

    /// A line of a pool that has no server here cannot wait for the next period.
    mutating func reportLine(of pool: PoolID, now: Instant, into actions: inout ActionList) {
        let line = lineHere(pool)
        guard line.count > 0 else { return }
        watchLine(of: pool, now: now)
        guard pools[pool].lists.here == 0, pools[pool].loans.reported.count == 0 else { return }
        report(line, of: pool, into: &actions)
    }

    /// Gives what has rested a while, for a line elsewhere that would otherwise have a server opened.
    mutating func giveSpares(
        _ label: PoolLabel, _ count: Int, now: Instant, into actions: inout ActionList
    ) {
        if let pool = knownPool(label) {
            var left = count
            while left > 0, mayLend(pool), !hasLineHere(pool),
                let server = idleServer(of: pool, coldest: true, now: now, into: &actions),
                isCold(server, now), isMovable(server)
            {
                sendAway(server, to: .keeper, now: now, into: &actions)
                left -= 1
            }
        }
        post(.spareGiven(label), to: .keeper, into: &actions)
    }

    mutating func noteRivals(_ line: Line, now: Instant, into actions: inout ActionList) {
        guard let pool = knownPool(line.pool) else { return }
        pools[pool].loans.rivals = Loans.Waiting(
            count: line.count, since: line.since, surplus: line.surplus)
        pools[pool].loans.given = 0
        giveToRivals(pool, now: now, into: &actions)
        if pools[pool].loans.rivals.count > 0 { watchLine(of: pool, now: now) }
    }

    /// What is idle here goes to lines elsewhere.
    private mutating func giveToRivals(_ pool: PoolID, now: Instant, into actions: inout ActionList) {
        while pools[pool].loans.rivals.count > 0, mayLend(pool), !pools[pool].hasSideLine {
            let since = pools[pool].loans.rivals.since
            if isFirst(pool, before: since) {
                guard serveFirst(of: pool, now: now, into: &actions) else { return }
                continue
            }
            guard let server = idleServer(of: pool, coldest: true, now: now, into: &actions),
                isMovable(server), isCold(server, now) || isSpare(pool, since, now)
            else { return }
            pools[pool].loans.rivals.count -= 1
            sendAway(server, to: .keeper, now: now, into: &actions)
        }
    }

    private func isFirst(_ pool: PoolID, before since: Instant) -> Bool {
        nextInLine(of: pool).map { clients[$0].waitingSince <= since + Limits.fairness } ?? false
    }

    /// Somebody is in line here although a server is idle: a check is under way for that client, and may take
    /// long. Nobody elsewhere who came later has the idle server first, nor waits until the check is over.
    private mutating func serveFirst(
        of pool: PoolID, now: Instant, into actions: inout ActionList
    ) -> Bool {
        guard let server = idleServer(of: pool, now: now, into: &actions),
            let client = nextInLine(of: pool)
        else { return false }
        give(server, to: client, now: now, into: &actions)
        return true
    }

    /// Whether a server that nobody here waits for, and that has just been used, goes to a line elsewhere:
    /// as likely as not it is wanted here again at once.
    private func isSpare(_ pool: PoolID, _ since: Instant, _ now: Instant) -> Bool {
        let age = now.since(since)
        return age > Limits.fairnessAtMost || age >= Limits.lineReportPeriod && hasSurplus(pool)
    }

    /// More servers than the pool's size allows now are open.
    mutating func shedHere(
        _ pool: PoolID, _ count: Int, now: Instant, into actions: inout ActionList
    ) {
        pools[pool].loans.surplus = count
        for server in idleServers(of: pool) where pools[pool].loans.surplus > 0 {
            closeServer(server, because: "too many servers in the pool", now: now, into: &actions)
        }
    }

    mutating func makeRoom(
        _ database: ByteString?, _ user: ByteString?, now: Instant, into actions: inout ActionList
    ) {
        let wanted = RoomWanted(database: database, user: user, until: now + Limits.roomWantedSpan)
        if evict(for: wanted, now: now, into: &actions) { return }
        roomWanted.removeAll { $0.until <= now || $0.database == database && $0.user == user }
        roomWanted.append(wanted)
    }

    private mutating func evict(
        for wanted: RoomWanted, now: Instant, into actions: inout ActionList
    ) -> Bool {
        if let name = wanted.database {
            guard let database = database(named: name) else { return false }
            return evict(now, { $0.database == database }, into: &actions)
        }
        guard let name = wanted.user, let user = name.withView({ userNames.value($0) }) else { return false }
        return evict(now, { $0.user == user }, into: &actions)
    }

    /// A server went idle here: perhaps another pool waits for its room.
    mutating func yieldElsewhere(_ pool: PoolID, now: Instant, into actions: inout ActionList) {
        guard !roomWanted.isEmpty else { return }
        roomWanted.removeAll { $0.until <= now }
        let all = roomWanted
        for (place, wanted) in all.enumerated() where evict(for: wanted, now: now, into: &actions) {
            roomWanted = all
            roomWanted.remove(at: place)
            return
        }
    }

    /// A server of this worker is closed: called by `forgetServer` only.
    mutating func tellOfClosing(_ server: ServerID, into actions: inout ActionList) {
        let pool = servers[server].pool
        if pools[pool].loans.surplus > 0 { pools[pool].loans.surplus -= 1 }
        let wasRetiring = servers[server].retirement != nil
        post(.closed(label(of: pool), wasRetiring: wasRetiring), to: .keeper, into: &actions)
    }

    /// What the keeper knows of a pool.
    mutating func take(
        _ news: PoolNews, of pool: PoolID, now: Instant, into actions: inout ActionList
    ) {
        pools[pool].failure = news.failure
        if news.failure != nil {
            pools[pool].pace.loginFailed(now: news.failedAt)
        } else {
            pools[pool].pace.loginWorked()
        }
        guard let text = news.welcome else { return }
        let base = set(of: text.base)
        if let old = pools[pool].welcome?.base { parameters.letGo(old) }
        pools[pool].welcome = Welcome(fixed: text.fixed, base: base)
        greetThoseInLine(of: pool, now: now, into: &actions)
    }

    mutating func refuseLine(
        of pool: PoolID, _ refusal: Refusal, now: Instant, into actions: inout ActionList
    ) {
        while let slot = pools[pool].waiting.first, let client = clients.id(at: slot) {
            refuse(client, refusal, now: now, into: &actions)
        }
        failLookups(of: pool, refusal, now: now, into: &actions)
        reportAgain(of: pool, now: now, into: &actions)
    }

    // MARK: At the keeper

    private mutating func prepareBooks(_ pool: PoolID) {
        guard pools[pool].loans.mates.isEmpty else { return }
        pools[pool].loans.mates = Array(repeating: Loans.Mate(), count: crew.count - 1)
    }

    /// Everything that can be done for the lines of these pools.
    private mutating func distribute(
        _ watched: [PoolID], now: Instant, into actions: inout ActionList
    ) {
        var rivals: [[Line]] = Array(repeating: [], count: crew.count - 1)
        for pool in watched where pools.contains(pool) {
            prepareBooks(pool)
            pools[pool].loans.given = 0
            lendToLines(of: pool, now: now, into: &actions)
            openServers(for: pool, now: now, into: &actions)
            let isSettled = tellHolders(of: pool, now: now, &rivals)
            if hasLine(pool) || !isSettled {
                watchedPools.append(pool)
            } else {
                pools[pool].loans.isWatched = false
            }
        }
        for (place, lines) in rivals.enumerated() where !lines.isEmpty {
            post(.rivals(lines), to: WorkerID(place: place), into: &actions)
        }
    }

    /// Adds to `rivals` what those who have servers of this pool do not know yet of old lines elsewhere.
    /// Whether nobody believes in a line any more.
    private mutating func tellHolders(
        of pool: PoolID, now: Instant, _ rivals: inout [[Line]]
    ) -> Bool {
        var isSettled = true
        for place in pools[pool].loans.mates.indices {
            if let line = untoldRivals(of: pool, place, now: now) { rivals[place].append(line) }
            if pools[pool].loans.mates[place].told != Loans.Waiting() { isSettled = false }
        }
        return isSettled
    }

    /// What a mate is to believe of old lines elsewhere, if that is something new; it counts as told.
    private mutating func untoldRivals(of pool: PoolID, _ place: Int, now: Instant) -> Line? {
        var line = Loans.Waiting()
        let mates = pools[pool].loans.mates.indices
        if pools[pool].loans.mates[place].lent > 0 {
            let here = lineHere(pool)
            if isOld(here, now) { line = here }
            for other in mates where other != place {
                let there = pools[pool].loans.mates[other].line
                guard isOld(there, now) else { continue }
                line = Loans.Waiting(count: line.count + there.count, since: min(line.since, there.since))
            }
        }
        // Each holder is to give its share.
        let holders = pools[pool].loans.mates.count { $0.lent > 0 }
        if line.count > 0 {
            line.count = (line.count + holders - 1) / max(1, holders)
            line.surplus = surplus(of: pool, at: place)
            let own = pools[pool].loans.mates[place].line
            // Nothing would come of it. Of an older line something may: only the first in line there is known
            // here, and who comes next may be younger.
            if line.surplus == 0, pools[pool].loans.mates[place].lent > 1, own.count > 0,
                own.since.since(line.since) <= Limits.fairness,
                now.since(line.since) <= Limits.fairnessAtMost
            {
                line = Loans.Waiting()
            }
        }
        guard pools[pool].loans.mates[place].told != line else { return nil }
        pools[pool].loans.mates[place].told = line
        return Line(pool: label(of: pool), count: line.count, since: line.since, surplus: line.surplus)
    }

    /// How many servers a mate, or with `nil` the keeper, has beyond its share. Shares are as clients are in
    /// need of a server, in line or being served; less than a whole server is nothing, so that none goes to
    /// and fro.
    private func surplus(of pool: PoolID, at place: Int?) -> Int {
        let lineHere = lineHere(pool).count
        var mine = pools[pool].lists.here
        var need = mine + lineHere
        var all = need
        for (other, mate) in pools[pool].loans.mates.enumerated() {
            all += mate.lent + mate.line.count
            guard other == place else { continue }
            mine = mate.lent
            need = mate.lent + mate.line.count
        }
        guard all > 0 else { return 0 }
        return max(0, mine - (pools[pool].lists.sessions * need + all - 1) / all)
    }

    /// A server is about to go to a mate: it is told first who else waits, so that it does not serve those
    /// who come now before them.
    mutating func tellRivals(
        of pool: PoolID, to worker: WorkerID, now: Instant, into actions: inout ActionList
    ) {
        guard let line = untoldRivals(of: pool, worker.place, now: now) else { return }
        if line.count > 0 { watchLine(of: pool, now: now) }
        post(.rivals([line]), to: worker, into: &actions)
    }

    /// A mate has given a server and believes that nobody waits any more: it is told at once of those who
    /// do, before the next one that becomes free there goes to somebody younger.
    mutating func tellGiver(
        _ worker: WorkerID, of pool: PoolID, now: Instant, into actions: inout ActionList
    ) {
        let place = worker.place
        guard pools[pool].loans.mates.indices.contains(place),
            let line = untoldRivals(of: pool, place, now: now)
        else { return }
        guard line.count > 0 else { return pools[pool].loans.mates[place].told = nil }
        watchLine(of: pool, now: now)
        post(.rivals([line]), to: worker, into: &actions)
    }

    mutating func note(
        _ line: Line, of worker: WorkerID, now: Instant, into actions: inout ActionList
    ) {
        // A pool that only lookups use has no client that entered it.
        var found = knownPool(line.pool)
        if found == nil, line.count > 0 { found = pool(labelled: line.pool, now: now, into: &actions) }
        guard let pool = found else { return }
        prepareBooks(pool)
        let place = worker.place
        pools[pool].loans.mates[place].line = Loans.Waiting(count: line.count, since: line.since)
        pools[pool].loans.mates[place].behind = line.behind
        watchLine(of: pool, now: now)
        lendToLines(of: pool, now: now, into: &actions)
        openServers(for: pool, now: now, into: &actions)
    }

    /// The mate whose line is the oldest.
    private func oldestLine(of pool: PoolID) -> (worker: WorkerID, since: Instant)? {
        var oldest: (worker: WorkerID, since: Instant)?
        for (place, mate) in pools[pool].loans.mates.enumerated() where mate.line.count > 0 {
            if let found = oldest, found.since <= mate.line.since { continue }
            oldest = (WorkerID(place: place), mate.line.since)
        }
        return oldest
    }

    /// Gives idle servers to lines elsewhere.
    private mutating func lendToLines(of pool: PoolID, now: Instant, into actions: inout ActionList) {
        while mayLend(pool), let (worker, since) = oldestLine(of: pool) {
            if isFirst(pool, before: since) {
                guard serveFirst(of: pool, now: now, into: &actions) else { return }
                continue
            }
            guard let server = idleServer(of: pool, coldest: true, now: now, into: &actions),
                isMovable(server), isCold(server, now) || isSpare(pool, since, now)
            else { return }
            sendAway(server, to: worker, now: now, into: &actions)
        }
    }

    mutating func addLinesElsewhere(of pool: PoolID, to waiting: inout Int, _ oldest: inout Instant?) {
        for mate in pools[pool].loans.mates where mate.line.count > 0 {
            waiting += mate.line.count
            oldest = min(oldest ?? .never, mate.line.since)
        }
    }

    /// Before a server is opened, those who have some are asked for what they can spare. Whether an answer is
    /// still to come.
    mutating func asksForSpares(
        of pool: PoolID, _ count: Int, now: Instant, into actions: inout ActionList
    ) -> Bool {
        var isAsking = false
        for place in pools[pool].loans.mates.indices where pools[pool].loans.mates[place].lent > 0 {
            let mate = pools[pool].loans.mates[place]
            if mate.isAsked {
                isAsking = true
            } else if mate.line.count == 0, now >= mate.askedAt + Limits.lineReportPeriod {
                pools[pool].loans.mates[place].isAsked = true
                pools[pool].loans.mates[place].askedAt = now
                let worker = WorkerID(place: place)
                post(.spare(label(of: pool), count: count), to: worker, into: &actions)
                isAsking = true
            }
        }
        return isAsking
    }

    mutating func spareGiven(
        _ label: PoolLabel, by worker: WorkerID, now: Instant, into actions: inout ActionList
    ) {
        guard let pool = knownPool(label) else { return }
        prepareBooks(pool)
        pools[pool].loans.mates[worker.place].isAsked = false
        openServers(for: pool, now: now, into: &actions)
    }

    /// A shared limit is reached and nothing is idle here: a mate that has servers under it is asked for
    /// one, each in turn, at most once a period.
    mutating func askForRoom(
        for pool: PoolID, database isDatabase: Bool, now: Instant, into actions: inout ActionList
    ) {
        guard crew.isKeeper, now >= pools[pool].loans.roomAskedAt + Limits.lineReportPeriod else { return }
        let database = pools[pool].database
        let user = pools[pool].user
        var fitting: Set<Int> = []
        for other in poolIDs where isDatabase ? pools[other].database == database : pools[other].user == user
        {
            for (place, mate) in pools[other].loans.mates.enumerated() where mate.lent > 0 {
                fitting.insert(place)
            }
        }
        guard !fitting.isEmpty else { return }
        roomTurn &+= 1
        let place = fitting.sorted()[roomTurn % fitting.count]
        pools[pool].loans.roomAskedAt = now
        post(
            .makeRoom(
                database: isDatabase ? databases[database].name : nil,
                user: isDatabase ? nil : users[user].name),
            to: WorkerID(place: place), into: &actions)
    }

    /// Servers beyond the pool's size that mates have are closed as they become free there.
    mutating func shed(_ pool: PoolID, into actions: inout ActionList) {
        let size = pools[pool].settings.limits.size
        var surplus = size == 0 ? 0 : max(0, pools[pool].lists.sessions - size)
        for place in pools[pool].loans.mates.indices {
            let share = min(surplus, pools[pool].loans.mates[place].lent)
            surplus -= share
            guard share > 0 || pools[pool].loans.mates[place].shed > 0 else { continue }
            pools[pool].loans.mates[place].shed = share
            let worker = WorkerID(place: place)
            post(.shed(label(of: pool), count: share), to: worker, into: &actions)
        }
    }

    mutating func closedElsewhere(
        _ label: PoolLabel, _ wasRetiring: Bool, by worker: WorkerID, now: Instant,
        into actions: inout ActionList
    ) {
        guard let pool = knownPool(label) else { return }
        returned(to: pool, from: worker)
        databases[pools[pool].database].servers -= 1
        users[pools[pool].user].servers -= 1
        if wasRetiring, pools[pool].loans.retiringElsewhere > 0 { pools[pool].loans.retiringElsewhere -= 1 }
        if pools[pool].clients == 0, pools[pool].lists.sessions == 0 { pools[pool].idleSince = now }
        serverLeft(now: now, into: &actions)
        if !waitingCancels.isEmpty { retryCancels(now: now, into: &actions) }
        openServers(for: pool, now: now, into: &actions)
        yield(pool, now: now, into: &actions)
    }

    /// A pool whose database may be gone from the configuration: what is lent keeps it.
    func knownPool(_ label: PoolLabel) -> PoolID? {
        guard let database = database(named: label.database),
            let user = label.user.withView({ userNames.value($0) })
        else { return nil }
        return poolNames[PoolName(database: database, user: user)]
    }

    /// A server is no longer lent.
    mutating func returned(to pool: PoolID, from worker: WorkerID) {
        pools[pool].lists.lent -= 1
        lentServers -= 1
        let place = worker.place
        guard pools[pool].loans.mates.indices.contains(place) else { return }
        pools[pool].loans.mates[place].lent -= 1
    }

    func news(of pool: PoolID) -> PoolNews {
        var news = PoolNews()
        if let welcome = pools[pool].welcome {
            news.welcome = WelcomeText(fixed: welcome.fixed, base: pairs(of: welcome.base))
        }
        // While others are at work, a failure only means that the line is served by fewer.
        if let failedAt = pools[pool].pace.failedAt,
            pools[pool].lists.sessions == pools[pool].lists[.opening].count
        {
            news.failure = pools[pool].failure
            news.failedAt = failedAt
        }
        return news
    }

    mutating func tellNews(of pool: PoolID, into actions: inout ActionList) {
        let news = news(of: pool)
        for mate in crew.mates { post(.news(label(of: pool), news), to: mate, into: &actions) }
    }

    /// Whether mates have been told already what this login says.
    func knows(
        _ fixed: [(name: ByteString, value: ByteString)], _ base: ParameterSetID, _ pool: PoolID
    ) -> Bool {
        guard let welcome = pools[pool].welcome, !pools[pool].pace.isFailing, welcome.base == base,
            welcome.fixed.count == fixed.count
        else { return false }
        return zip(welcome.fixed, fixed).allSatisfy { $0.name == $1.name && $0.value == $1.value }
    }

    mutating func refuseLinesElsewhere(
        of pool: PoolID, _ refusal: Refusal, into actions: inout ActionList
    ) {
        for mate in crew.mates { post(.refuseLine(label(of: pool), refusal), to: mate, into: &actions) }
        for place in pools[pool].loans.mates.indices { pools[pool].loans.mates[place].line = .init() }
    }

    /// Servers that are elsewhere now are obsolete.
    mutating func retireThoseElsewhere(of pool: PoolID) {
        guard crew.isKeeper else { return }
        pools[pool].loans.retiredBefore = era
        pools[pool].loans.retiringElsewhere = pools[pool].lists.lent
    }

    // MARK: Where a server goes that is free

    /// Has not been used for a while, so that it is hardly about to be used again here.
    func isCold(_ server: ServerID, _ now: Instant) -> Bool {
        now.since(servers[server].restingSince) >= Limits.lineReportPeriod
    }

    /// Whether a server that is free here goes to a line elsewhere. Where both lines are about as old, or the
    /// other one is not much older and servers are spread as clients are, they stay: they would only be sent
    /// to and fro.
    private mutating func yields(_ pool: PoolID, to since: Instant, now: Instant) -> Bool {
        guard let client = nextInLine(of: pool) else { return isSpare(pool, since, now) }
        let gap = clients[client].waitingSince.since(since)
        guard gap > Limits.fairness, gap > Limits.fairnessAtMost || hasSurplus(pool) else { return false }
        let mayGive = pools[pool].loans.given < max(1, pools[pool].lists.here / Limits.fewServers)
        guard mayGive || gap > Limits.longestOvertaking else { return false }
        pools[pool].loans.given += 1
        if pools[pool].loans.rivals.surplus > 0 { pools[pool].loans.rivals.surplus -= 1 }
        return true
    }

    private func hasSurplus(_ pool: PoolID) -> Bool {
        if pools[pool].lists.here <= 1 { return true }
        return crew.isMate ? pools[pool].loans.rivals.surplus > 0 : surplus(of: pool, at: nil) > 0
    }

    /// A mate has sent this server for a line elsewhere, and nobody is in line here.
    mutating func passOn(_ server: ServerID, now: Instant, into actions: inout ActionList) -> Bool {
        let pool = servers[server].pool
        guard mayLend(pool), isMovable(server), !hasLineHere(pool), let (worker, _) = oldestLine(of: pool)
        else { return false }
        sendAway(server, to: worker, now: now, into: &actions)
        return true
    }

    /// A clean server, between two uses: it goes to another worker if a line there is older than the one
    /// here.
    mutating func sendsElsewhere(
        _ server: ServerID, now: Instant, into actions: inout ActionList
    ) -> Bool {
        let pool = servers[server].pool
        // Nothing may be owed to it when it leaves.
        if actions.hasBytes(for: .server(server)) { return false }
        if crew.isMate {
            let rivals = pools[pool].loans.rivals
            guard rivals.count > 0, mayLend(pool), isMovable(server) else { return false }
            guard yields(pool, to: rivals.since, now: now) else { return false }
            pools[pool].loans.rivals.count -= 1
            sendAway(server, to: .keeper, now: now, into: &actions)
            return true
        }
        guard let (worker, since) = oldestLine(of: pool), mayLend(pool), isMovable(server) else {
            return false
        }
        let isFresh = servers[server].epoch == 0
        if let client = nextInLine(of: pool) {
            guard isFresh ? clients[client].waitingSince > since : yields(pool, to: since, now: now) else {
                return false
            }
        } else if !isFresh, !isSpare(pool, since, now) {
            return false
        }
        sendAway(server, to: worker, now: now, into: &actions)
        return true
    }
}
