import Auth
import Config
import Pool
public import Primitives
import Session
import Wire

/// What several workers of one process say to each other. Nothing here is ever called with one.
///
/// Worker 0 is the keeper. It accepts clients and hands them round; it opens every server, so that its own
/// counts are those of the whole process; a mate asks it before a client may stay or enter a pool, and says
/// what is gone. Lines and servers on loan are in `+Loans`, servers on their way in `+Parcels`.
extension Switchboard {
    /// A letter from another worker. When it came with a socket, `.adopt` says whose that is; without
    /// `.adopt` nobody wants it, and it is closed.
    public mutating func letterArrived(
        _ letter: Letter, from worker: WorkerID, now: Instant, into actions: inout ActionList
    ) {
        lettersReceived &+= 1
        switch letter {
        case .client(let parcel):
            takeIn(parcel, now: now, into: &actions)
        case .server(let parcel):
            takeIn(parcel, from: worker, now: now, into: &actions)
        case .knock(let client, let peer):
            answerKnock(client, peer, of: worker, now: now, into: &actions)
        case .enter(let client, let entry, let proof):
            answerEnter(client, entry, proof, of: worker, now: now, into: &actions)
        case .loginFailed(let peer):
            loginFailed(from: peer, now: now, into: &actions)
        case .left(let departure):
            settle(departure, of: worker, now: now, into: &actions)
        case .lines(let lines):
            for line in lines { note(line, of: worker, now: now, into: &actions) }
        case .spareGiven(let label):
            spareGiven(label, by: worker, now: now, into: &actions)
        case .closed(let label, let wasRetiring):
            closedElsewhere(label, wasRetiring, by: worker, now: now, into: &actions)
        case .period(let counters):
            periodElsewhere.add(counters)
        case .applied(let era):
            appliedElsewhere[Int(worker.index)] = era
            endWaits(now: now, into: &actions)
        case .flushed(let number):
            flushedElsewhere[Int(worker.index)] = number
            endWaits(now: now, into: &actions)
        case .mayStay(let client, let peer, let refusal):
            mayStay(client, peer, refusal, now: now, into: &actions)
        case .mayEnter(let client, let entry, let refusal, let news):
            mayEnter(client, entry, refusal, news, now: now, into: &actions)
        case .news(let label, let news):
            if let pool = knownPool(label) {
                take(news, of: pool, now: now, into: &actions)
            }
        case .refuseLine(let label, let refusal):
            if let pool = knownPool(label) { refuseLine(of: pool, refusal, now: now, into: &actions) }
        case .spare(let label, let count):
            giveSpares(label, count, now: now, into: &actions)
        case .rivals(let lines):
            for line in lines { noteRivals(line, now: now, into: &actions) }
        case .shed(let label, let count):
            if let pool = knownPool(label) { shedHere(pool, count, now: now, into: &actions) }
        case .makeRoom(let database, let user):
            makeRoom(database, user, now: now, into: &actions)
        case .order(let order):
            carryOut(order, now: now, into: &actions)
        case .question(let number, let question):
            letterMessages.append(.question(number, question, from: worker))
        case .answer(let number, let answer):
            letterMessages.append(.answer(number, answer, from: worker))
        }
    }

    mutating func post(_ letter: Letter, to worker: WorkerID, into actions: inout ActionList) {
        lettersSent &+= 1
        actions.post(letter, to: worker)
    }

    /// The same to every mate, if there are any and this is the keeper.
    mutating func broadcast(_ order: Order, into actions: inout ActionList) {
        guard crew.isKeeper else { return }
        for mate in crew.mates { post(.order(order), to: mate, into: &actions) }
    }

    /// Whether every mate has done what is at least this far.
    func haveAllMates(_ done: [UInt64], _ wanted: UInt64) -> Bool {
        !crew.isKeeper || crew.mates.allSatisfy { done[Int($0.index)] >= wanted }
    }

    // MARK: Handing clients round

    /// Which worker is to have a client that has just connected; `nil` for this one. The keeper's driver asks
    /// before `accepted`, and posts the socket with a `ClientParcel` to whoever is named.
    public mutating func workerForNewClient(from peer: SocketAddress) -> WorkerID? {
        guard crew.isKeeper, countForMate(peer) else { return nil }
        let worker = workerWithFewest()
        if worker == nil { addresses.leave(peer, wasGuest: false) } else { lettersSent &+= 1 }
        if let worker { connectionsElsewhere[Int(worker.index)] += 1 }
        return worker
    }

    /// The mate that has the fewest connections, if that is fewer than here.
    func workerWithFewest() -> WorkerID? {
        guard crew.isKeeper else { return nil }
        var best = clients.count - consoleClients
        var chosen: WorkerID?
        for mate in crew.mates where connectionsElsewhere[Int(mate.index)] < best {
            best = connectionsElsewhere[Int(mate.index)]
            chosen = mate
        }
        return chosen
    }

    /// A client that another worker has accepted.
    private mutating func takeIn(
        _ parcel: ClientParcel, now: Instant, into actions: inout ActionList
    ) {
        if let client = takeIn(peer: parcel.peer, local: parcel.local, now: now, into: &actions) {
            clients[client].isCounted = true
            if crew.isKeeper { _ = addresses.arrive(parcel.peer, limit: 0) }
            clients[client].encryption = parcel.encryption
            actions.append(.adopt(.client(client)))
            if !clients[client].holds.isEmpty { actions.append(.pauseReading(.client(client))) }
        } else if crew.isMate {
            tellOfDeparture(
                Departure(isConnection: true, isGuest: false, peer: parcel.peer), into: &actions)
        }
    }

    /// Hands a client on that has said who it is and has had no answer: its first packet goes with it.
    mutating func pass(
        _ client: ClientID, _ bytes: ByteView, to worker: WorkerID, into actions: inout ActionList
    ) {
        let parcel = ClientParcel(
            peer: clients[client].peer, local: clients[client].local,
            encryption: clients[client].encryption, bytes: ByteString(bytes))
        lettersSent &+= 1
        actions.append(.part(.client(client), actions.write(.client(parcel)), to: worker))
        if crew.isMate {
            tellOfDeparture(
                Departure(isConnection: true, isGuest: false, peer: clients[client].peer), into: &actions)
        } else {
            connectionsElsewhere[Int(worker.index)] += 1
        }
        isNoStranger(client)
        parameters.letGo(clients[client].parameters)
        clients.remove(client)
    }

    /// The worker that gave this cancel key out, if that is another: the upper bits of every key are its
    /// number. The keeper knows the way to all of them.
    func worker(named processID: UInt32) -> WorkerID? {
        guard !crew.isAlone else { return nil }
        let index = processID >> 24 & 0x7F
        guard index < UInt32(crew.count), index != UInt32(crew.me.index) else { return nil }
        return crew.isMate ? .keeper : WorkerID(index: UInt8(truncatingIfNeeded: index))
    }

    /// Whether a StartupMessage asks for the console, which the keeper has.
    func wantsConsole(_ body: ByteView) -> Bool {
        guard var pairs = StartupParameters(body) else { return false }
        var user: ByteString = ""
        var database: ByteString = ""
        while let (name, value) = pairs.next() {
            if name.equals("user") { user = ByteString(value) }
            if name.equals("database") { database = ByteString(value) }
        }
        return (database.isEmpty ? user : database) == Self.consoleName
    }

    // MARK: May it stay, may it enter

    /// Whether this client counts as one of `max_client_conn`. `false`: it was refused, or the keeper has
    /// been asked and `identify` is called again when it has answered.
    mutating func isGuest(
        _ client: ClientID, _ login: ClientLogin, now: Instant, into actions: inout ActionList
    ) -> Bool {
        if clients[client].isGuest { return true }
        if crew.isMate {
            login.isAskedFor = true
            hold(client, .login, into: &actions)
            post(.knock(client, clients[client].peer), to: .keeper, into: &actions)
            return false
        }
        if let refusal = admitGuest(from: clients[client].peer, now: now) {
            refuse(client, refusal, now: now, into: &actions)
            return false
        }
        clients[client].isGuest = true
        return true
    }

    private mutating func admitGuest(from peer: SocketAddress, now: Instant) -> Refusal? {
        if guests >= snapshot.global.maxClientConn { return .maxClients }
        if let refusal = enterAddress(peer, now: now) { return refusal }
        guests += 1
        return nil
    }

    private mutating func answerKnock(
        _ client: ClientID, _ peer: SocketAddress, of worker: WorkerID, now: Instant,
        into actions: inout ActionList
    ) {
        post(.mayStay(client, peer, admitGuest(from: peer, now: now)), to: worker, into: &actions)
    }

    private mutating func mayStay(
        _ client: ClientID, _ peer: SocketAddress, _ refusal: Refusal?, now: Instant,
        into actions: inout ActionList
    ) {
        guard clients.contains(client), let login = clients[client].login, login.isAskedFor else {
            guard refusal == nil else { return }
            return tellOfDeparture(Departure(isConnection: false, isGuest: true, peer: peer), into: &actions)
        }
        login.isAskedFor = false
        if let refusal { return refuse(client, refusal, now: now, into: &actions) }
        clients[client].isGuest = true
        unhold(client, .login, into: &actions)
        identify(client, login, now: now, into: &actions)
    }

    /// A client that has proved who it is wants a place in its pool, which only the keeper can count.
    mutating func askToEnter(
        _ client: ClientID, _ login: ClientLogin, _ database: DatabaseID, _ user: UserID,
        _ serverUser: UserID, into actions: inout ActionList
    ) {
        login.isAskedFor = true
        hold(client, .login, into: &actions)
        let entry = Entry(
            database: databases[database].name, user: users[user].name, serverUser: users[serverUser].name)
        let proof = Proof(secret: login.lookedUp, keys: login.keys)
        post(.enter(client, entry, proof), to: .keeper, into: &actions)
    }

    private mutating func answerEnter(
        _ client: ClientID, _ entry: Entry, _ proof: Proof, of worker: WorkerID, now: Instant,
        into actions: inout ActionList
    ) {
        guard shutdown == .none, let database = findDatabase(entry.database, now: now, into: &actions),
            let user = findUser(entry.user), let pool = pool(labelled: entry.pool, now: now, into: &actions)
        else {
            let refusal: Refusal = shutdown == .none ? .noDatabase(entry.database) : .shuttingDown
            return post(.mayEnter(client, entry, refusal, PoolNews()), to: worker, into: &actions)
        }
        if let secret = proof.secret {
            if pools[pool].user == user { keep(secret, proof.keys, in: pool) }
        } else if let keys = proof.keys {
            users[user].keys = keys
        }
        let refusal =
            databases[database].isDisabled
            ? .disabledDatabase(entry.database) : clientLimit(database, user)
        if refusal == nil {
            databases[database].clients += 1
            databases[database].lastUsed = now
            users[user].clients += 1
            pools[pool].clients += 1
        }
        post(.mayEnter(client, entry, refusal, news(of: pool)), to: worker, into: &actions)
        if refusal == nil { keepUp(pool, now: now, into: &actions) }
    }

    private mutating func mayEnter(
        _ client: ClientID, _ entry: Entry, _ refusal: Refusal?, _ news: PoolNews, now: Instant,
        into actions: inout ActionList
    ) {
        let departure = Departure(isConnection: false, isGuest: false, entry: entry)
        guard clients.contains(client), let login = clients[client].login, login.isAskedFor else {
            if refusal == nil { tellOfDeparture(departure, into: &actions) }
            return
        }
        login.isAskedFor = false
        if let refusal { return refuse(client, refusal, now: now, into: &actions) }
        guard let database = findDatabase(entry.database, now: now, into: &actions),
            let user = findUser(entry.user), let pool = pool(labelled: entry.pool, now: now, into: &actions)
        else {
            tellOfDeparture(departure, into: &actions)
            return refuse(client, .noDatabase(entry.database), now: now, into: &actions)
        }
        take(news, of: pool, now: now, into: &actions)
        settle(client, database, user, in: pool, now: now, into: &actions)
    }

    // MARK: Leaving

    /// A client is being forgotten: the keeper's counts follow. Called by `forget` only.
    mutating func tellOfLeaving(_ client: ClientID, into actions: inout ActionList) {
        guard crew.isMate else {
            if clients[client].isGuest { guests -= 1 }
            return
        }
        var departure = Departure(
            isConnection: true, isGuest: clients[client].isGuest, peer: clients[client].peer)
        if let pool = clients[client].pool, let database = clients[client].database,
            let user = clients[client].user
        {
            departure.entry = Entry(
                database: databases[database].name, user: users[user].name,
                serverUser: users[pools[pool].user].name)
        }
        tellOfDeparture(departure, into: &actions)
    }

    private mutating func tellOfDeparture(_ departure: Departure, into actions: inout ActionList) {
        post(.left(departure), to: .keeper, into: &actions)
    }

    private mutating func settle(
        _ departure: Departure, of worker: WorkerID, now: Instant, into actions: inout ActionList
    ) {
        if departure.isConnection { connectionsElsewhere[Int(worker.index)] -= 1 }
        if departure.isGuest { guests -= 1 }
        if let peer = departure.peer {
            if departure.isConnection {
                addresses.leave(peer, wasGuest: departure.isGuest)
            } else {
                // It has left before it heard that it may stay, and was counted as one that had not asked.
                addresses.stepBack(peer)
            }
        }
        if let entry = departure.entry, let database = database(named: entry.database),
            let user = findUser(entry.user), let serverUser = findUser(entry.serverUser),
            let pool = poolNames[PoolName(database: database, user: serverUser)]
        {
            databases[database].clients -= 1
            users[user].clients -= 1
            pools[pool].clients -= 1
            if pools[pool].clients == 0 { pools[pool].idleSince = now }
        }
        clientLeft(now: now, into: &actions)
    }

    // MARK: Orders

    private mutating func carryOut(_ order: Order, now: Instant, into actions: inout ActionList) {
        switch order {
        case .put(let snapshot, let era, let keepsTLS):
            self.era = era
            put(snapshot, inForce: now, keepsTLS: keepsTLS, into: &actions)
            post(.applied(era), to: .keeper, into: &actions)
        case .pause(let name):
            onDatabase(name, now: now, into: &actions) { $0.pause($1, for: nil, now: now, into: &$2) }
        case .suspend(let number):
            suspend(for: nil, now: now, into: &actions)
            unansweredSuspension = number
            if !isFlushing { answerSuspension(into: &actions) }
        case .resume(let name):
            onDatabase(name, now: now, into: &actions) { $0.resume($1, now: now, into: &$2) }
        case .kill(let name, let refusal, let era):
            self.era = era
            onDatabase(name, now: now, into: &actions) {
                if let database = $1 { $0.kill(database, because: refusal, now: now, into: &$2) }
            }
        case .reconnect(let name, let era):
            self.era = era
            onDatabase(name, now: now, into: &actions) { $0.reconnect($1, now: now, into: &$2) }
        case .disable(let name, let isDisabled):
            onDatabase(name, now: now, into: &actions) {
                if let database = $1 { $0.setDisabled(database, isDisabled, into: &$2) }
            }
        case .moved(let host, let era):
            self.era = era
            moved(host, now: now, into: &actions)
        case .shutDown(let how):
            shutDown(how, now: now, into: &actions)
        }
    }

    /// With the database of this name, which is registered if only `*` covers it; with `nil` for all.
    private mutating func onDatabase(
        _ name: ByteString?, now: Instant, into actions: inout ActionList,
        _ body: (inout Switchboard, DatabaseID?, inout ActionList) -> Void
    ) {
        guard let name else { return body(&self, nil, &actions) }
        let known = database(named: name) ?? findDatabase(name, now: now, into: &actions)
        if let known { body(&self, known, &actions) }
    }

    // MARK: Statistics

    mutating func tellOfPeriod(into actions: inout ActionList) {
        var sum = PoolCounters()
        for pool in poolIDs { sum.add(pools[pool].lastPeriod) }
        post(.period(sum), to: .keeper, into: &actions)
    }

    /// Percent of a processor that this worker's thread used in the last whole period, or, in the first one,
    /// so far.
    public func busyShare(now: Instant) -> Int {
        let isFirst = lastPeriodSpan.isZero
        let span = isFirst ? now.since(statsPeriodStart) : lastPeriodSpan
        let busy = isFirst ? busyNanoseconds &- busyAtPeriodStart : busyLastPeriod
        return span.isZero ? 0 : Int(clamping: busy / 1000 * 100 / UInt64(max(1, span.wholeMicroseconds)))
    }

    // MARK: Pools by their names

    mutating func pool(
        labelled label: PoolLabel, now: Instant, into actions: inout ActionList
    ) -> PoolID? {
        guard let database = findDatabase(label.database, now: now, into: &actions),
            let user = findUser(label.user)
        else { return nil }
        return findPool(database, user, now: now)
    }

    func label(of pool: PoolID) -> PoolLabel {
        PoolLabel(database: databases[pools[pool].database].name, user: users[pools[pool].user].name)
    }
}
