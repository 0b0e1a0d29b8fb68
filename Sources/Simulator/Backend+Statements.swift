/// Running statements.
extension Backend {
    /// Takes the step that `need` announced as a statement.
    mutating func execute(cancelled: Bool = false) {
        guard let next = running.first else { return }
        if notesTokens, let token = runningToken, !isContinuing(next) { started.append(token) }
        let token = runningToken ?? []
        if cancelled {
            return fail("57014", "canceling statement due to user request " + token.text)
        }
        if status == 0x45, sentence(of: next)?.endsTransaction != true {
            return fail(
                "25P02", "current transaction is aborted, commands ignored until end of transaction block")
        }
        switch next {
        case .call(let token):
            output.message("V") {
                $0.append(uint32: UInt32(token.count))
                $0.append(contentsOf: token)
            }
        case .simple(let sentence):
            run(sentence, token: token, portal: nil, limit: 0)
        case .portal(let name, let limit):
            guard let portal = portals[name], let sentence = portal.sentence else { break }
            if portal.hasStarted, !sentence.hasRows {
                return fail("55000", "portal \"\(name.text)\" cannot be run")
            }
            portals[name]?.hasStarted = true
            run(sentence, token: token, portal: name, limit: limit)
        }
        guard copy == nil, !running.isEmpty else { return }
        running.removeFirst()
        if running.isEmpty, isSimple { finishQuery() }
    }

    private func isContinuing(_ running: Running) -> Bool {
        if case .portal(let name, _) = running { return portals[name]?.hasStarted == true }
        return false
    }

    private mutating func run(_ sentence: Sentence, token: Bytes, portal: Bytes?, limit: Int) {
        switch sentence {
        case .rows(let count, _, let size):
            rows(count, token: token, size: size, tag: "SELECT", portal: portal, limit: limit)
        case .sleep, .other:
            rows(1, token: token, size: 0, tag: "SELECT", portal: portal, limit: limit)
        case .show(let name, _):
            let value = SessionSettings.index(name).map { settings.values[$0] } ?? []
            rows(1, token: token + [0x3D] + value, size: 0, tag: "SHOW", portal: portal, limit: limit)
        case .error(let token), .broken(let token):
            fail("22012", "division by zero " + token.text)
        case .notice(let token):
            report("N", "NOTICE", "00000", "remark " + token.text)
            complete("DO")
        case .begin, .commit, .rollback:
            transaction(sentence)
        case .set(let name, let value, let isLocal):
            set(name, value, isLocal: isLocal)
        case .configure(let name, let value):
            if let index = SessionSettings.index(name) { settings.set(index, value, isLocal: false) }
            rows(1, token: value, size: 0, tag: "SELECT", portal: portal, limit: limit)
        case .copyIn(_, let failsAt):
            copyIn(token, failsAt: failsAt)
        case .copyOut(let count, _):
            copyOut(count, token)
        case .deallocate(let name):
            deallocate(name)
        case .discardAll:
            discardAll()
        case .savepoint, .rollbackTo, .release:
            subtransaction(sentence)
        case .listen(let channel):
            channels.insert(channel)
            formerChannels.insert(channel)
            complete("LISTEN")
        case .notify(let channel, let token):
            notified.append((channel, token))
            complete("NOTIFY")
        }
    }

    private mutating func complete(_ tag: String) { output.message("C") { $0.append(cString: tag) } }

    private mutating func rows(_ count: Int, token: Bytes, size: Int, tag: String, portal: Bytes?, limit: Int)
    {
        if portal == nil { rowDescription() }
        let done = portal.flatMap { portals[$0]?.sent } ?? 0
        let left = max(0, count - done)
        let now = limit > 0 ? min(limit, left) : left
        for index in 0..<now {
            output.message("D") {
                $0.append(uint16: 1)
                let number = Array(String(done + index).utf8)
                $0.append(uint32: UInt32(token.count + number.count + size))
                $0.append(contentsOf: token)
                $0.append(contentsOf: number)
                $0.append(contentsOf: repeatElement(0x5A, count: size))
            }
        }
        if let portal {
            portals[portal]?.sent = done + now
        }
        if limit > 0, now == limit { return output.message("s") }
        complete(tag == "SHOW" ? tag : "\(tag) \(now)")
    }

    private mutating func transaction(_ sentence: Sentence) {
        switch (sentence, status) {
        case (.begin, 0x49):
            status = 0x54
            complete("BEGIN")
        case (.begin, _):
            report("N", "WARNING", "25001", "there is already a transaction in progress")
            complete("BEGIN")
        case (_, 0x49):
            report("N", "WARNING", "25P01", "there is no transaction in progress")
            complete(sentence == .commit ? "COMMIT" : "ROLLBACK")
        default:
            let commits = sentence == .commit && status == 0x54
            status = 0x49
            savepoints.removeAll()
            if commits { settings.commit() } else { settings.rollback() }
            portals.removeAll()
            settings.beginIfNeeded()
            complete(commits ? "COMMIT" : "ROLLBACK")
        }
    }

    private mutating func subtransaction(_ sentence: Sentence) {
        guard status != 0x49 else {
            return fail("25P01", "savepoints can only be used in transaction blocks")
        }
        switch sentence {
        case .savepoint(let name):
            savepoints.append(Savepoint(name: name, settings: settings, portals: Set(portals.keys)))
            complete("SAVEPOINT")
        case .rollbackTo(let name):
            guard let place = savepoints.lastIndex(where: { $0.name == name }) else {
                return failUnknown(name)
            }
            savepoints.removeSubrange((place + 1)...)
            settings.goBack(to: savepoints[place].settings)
            let kept = savepoints[place].portals
            portals = portals.filter { kept.contains($0.key) }
            status = 0x54
            complete("ROLLBACK")
        case .release(let name):
            guard let place = savepoints.lastIndex(where: { $0.name == name }) else {
                return failUnknown(name)
            }
            savepoints.removeSubrange(place...)
            complete("RELEASE")
        default: break
        }
    }

    private mutating func failUnknown(_ savepoint: Bytes) {
        fail("3B001", "savepoint \"\(savepoint.text)\" does not exist")
    }

    private mutating func set(_ name: Bytes, _ value: Bytes, isLocal: Bool) {
        guard let index = SessionSettings.index(name) else {
            return fail("42704", "unrecognized configuration parameter \"\(name.text)\"")
        }
        guard let value = SessionSettings.canonical(value, at: index) else {
            return fail("22023", "invalid value for parameter \"\(name.text)\": \"\(value.text)\"")
        }
        if isLocal, status == 0x49 {
            report("N", "WARNING", "25P01", "SET LOCAL can only be used in transaction blocks")
        } else {
            settings.set(index, value, isLocal: isLocal)
        }
        complete("SET")
    }

    private mutating func deallocate(_ name: Bytes?) {
        guard let name else {
            statements.removeAll()
            return complete("DEALLOCATE ALL")
        }
        guard statements.removeValue(forKey: name) != nil else {
            return fail("26000", "prepared statement \"\(name.text)\" does not exist")
        }
        complete("DEALLOCATE")
    }

    private mutating func discardAll() {
        if status != 0x49 || isSimple && running.count > 1 {
            return fail("25001", "DISCARD ALL cannot run inside a transaction block")
        }
        statements.removeAll()
        unnamed = nil
        channels.removeAll()
        settings.reset()
        complete("DISCARD ALL")
    }
}
