import CLinux
import COpenSSL
import Config
import Console
import Engine
import EventLoop
package import Primitives

/// The process from its command line to its exit status.
package enum Program {
    /// The release of PgBouncer that we stand in for: what tools parse, and what `SHOW VERSION` says.
    static let standsFor = "PgBouncer 1.25.2"
    static let version = "pglido 0.1.0"

    /// The arguments without the program's name, as bytes: a path need not be UTF-8.
    package static var commandLine: [ByteString] {
        var words: [ByteString] = []
        guard var place = linux_words(), place.pointee != nil else { return words }
        while true {
            place += 1
            guard let word = place.pointee else { return words }
            var count = 0
            while word[count] != 0 { count += 1 }
            words.append(ByteString(ByteView(UnsafeRawBufferPointer(start: word, count: count))))
        }
    }

    /// `words` are the arguments without the program's name. 0 after any orderly end, 1 when it cannot start.
    package static func run(_ words: [ByteString]) -> Int32 {
        switch Arguments.parse(words) {
        case .run(let arguments):
            guard let post = Supervisor.Post.mine else { return run(arguments) }
            var supervisor = Supervisor(post)
            return supervisor.run()
        case .check(let arguments):
            let check = ConfigurationCheck(ConfigurationSource(arguments).examine())
            say(check.report, on: 1)
            return check.isGood ? 0 : 1
        case .explain(let arguments):
            let found = ConfigurationSource(arguments).examine()
            let check = ConfigurationCheck(found)
            if !check.isGood { say(check.report, on: 2) }
            say(Explanation(found).text, on: 1)
            return check.isGood ? 0 : 1
        case .showHelp:
            say(Arguments.usage, on: 1)
            return 0
        case .showVersion:
            say("\(standsFor)\n\(version)\nadns: c-ares \(Resolver.version)\ntls: \(tlsVersion)\n", on: 1)
            return 0
        case .wrong(let text):
            say("pglido: \(text)\n\(Arguments.usage)", on: 2)
            return 1
        }
    }

    private static func run(_ arguments: Arguments) -> Int32 {
        let supervised = Supervised()
        var log = Log(onStandardError: !arguments.isQuiet)
        supervised?.post.open(&log)
        do throws(StartFailure) {
            try start(arguments, supervised, &log)
            return 0
        } catch {
            log.write(.fatal, error.text)
            return 1
        }
    }

    private static func start(
        _ arguments: Arguments, _ supervised: Supervised?, _ log: inout Log
    ) throws(StartFailure) {
        let source = ConfigurationSource(arguments)
        let (snapshot, settings, warnings) = try configuration(source, &log)
        if arguments.takesOver, settings.supervisor {
            throw StartFailure(text: "supervisor = 1 and an online restart (-R) do not go together")
        }
        try becomeUser(settings)
        try openLog(settings, &log)
        for warning in warnings { log.write(.warning, warning) }
        // A supervisor has a pidfile and is in the background already.
        let pidfile = Pidfile(path: supervised == nil ? settings.pidFile : "")
        let goesIntoBackground = arguments.runsInBackground && supervised == nil
        if arguments.runsInBackground, supervised != nil { log.onStandardError = false }
        if goesIntoBackground, settings.pidFile.isEmpty {
            throw StartFailure(text: "daemon needs pidfile configured")
        }
        var predecessor = arguments.takesOver ? try Predecessor.find(settings, &log) : nil
        let estate = try predecessor?.tellEstate(&log)
        if estate == nil { try pidfile.clearWay(&log) }
        raiseFileLimit(settings, &log)
        try checkRing(settings)
        Signals.block()
        if estate == nil, !goesIntoBackground { try pidfile.write() }
        // Before going into the background, so that whoever starts us hears of an address in use.
        var listeners = Listeners()
        do throws(StartFailure) {
            if let estate {
                listeners.take(estate, settings, &log)
            } else if let supervised {
                for listener in supervised.listeners { listeners.add(listener) }
            } else {
                try listeners.open(settings, &log)
            }
            if goesIntoBackground {
                try goIntoBackground(&log)
                if estate == nil { try pidfile.write() }
            }
            if settings.supervisor, supervised == nil {
                try Supervisor.Post(settings, listeners.passOn(), onStandardError: log.onStandardError).take()
            }
        } catch {
            // What is still another process's stays.
            if estate == nil {
                listeners.stop(.all)
                if !goesIntoBackground || settings.supervisor { pidfile.remove() }
            }
            throw error
        }
        var ownsPidfile = estate == nil
        defer { if ownsPidfile { pidfile.remove() } }
        var facts = ProcessFacts(
            userID: linux_effective_user(), listenPort: settings.listenPort, version: ByteString(standsFor),
            startSeconds: SystemTime.seconds(), startInstant: MonotonicClock.now())
        facts.hasHelpers = true
        let count = settings.workers
        let switchboard = Switchboard(
            snapshot: snapshot, process: facts, entropy: KernelEntropy(),
            crew: Crew(me: .keeper, count: count), now: facts.startInstant)
        var threads = try WorkerThreads(
            settings, snapshot, facts, instance: switchboard.instance,
            onStandardError: log.onStandardError)
        let zone = SystemTime.zone()
        let clock = WallClock(
            startSeconds: facts.startSeconds, startInstant: facts.startInstant,
            zoneOffsetSeconds: zone.offsetSeconds, zoneName: zone.name)
        let pooler = Pooler(
            switchboard, clock: clock, preview: { source.preview($0) },
            secure: { source.security.renew($0) })
        let reload = { (path: ByteString) in source.load(path) }
        // The worker writes the log from here on; what is said after its end is said by it too.
        let workersLog = consume log
        log = Log(onStandardError: false)
        guard
            var worker = Worker(
                engine: pooler, settings: settings, log: workersLog, office: threads.keepersOffice,
                reload: reload)
        else { throw StartFailure(text: "dns setup failed") }
        if let estate {
            try predecessor?.end(pidfile, &worker.log)
            try pidfile.write()
            ownsPidfile = true
            worker.inherit(estate)
        }
        worker.listen(consume listeners)
        announce(&worker, isVerbose: snapshot.global.verbose > 0)
        try threads.start()
        ServiceManager.tell("READY=1\n")
        worker.run()
        // The next process has them.
        if worker.isHandedOver {
            worker.listeners.letGo()
        } else {
            worker.listeners.stop(.all)
        }
        threads.stop()
    }

    // MARK: Steps

    private static func announce(_ worker: inout Worker<Pooler>, isVerbose: Bool) {
        if worker.ring.error != 0, isVerbose {
            worker.log.write(.debug, "no io_uring, epoll is used: \(errorText(worker.ring.error).lossyText)")
        }
        worker.log.write(
            .log,
            "process up: \(standsFor) (\(version)), \(worker.ring.isOn ? "io_uring" : "epoll"), "
                + "adns: c-ares \(Resolver.version), tls: \(tlsVersion)"
        )
    }

    private static func configuration(
        _ source: ConfigurationSource, _ log: inout Log
    ) throws(StartFailure) -> (Snapshot, ProcessSettings, warnings: [ByteString]) {
        switch source.load() {
        case .accepted(let snapshot, let settings, let warnings):
            return (snapshot, settings, warnings)
        case .refused(let errors):
            for error in errors { log.write(.error, error) }
            throw StartFailure(text: "cannot load config file")
        }
    }

    private static func becomeUser(_ settings: ProcessSettings) throws(StartFailure) {
        if !settings.user.isEmpty {
            let result = settings.user.withCString { linux_become_user($0) }
            if result == -Int(linux_not_found) {
                throw StartFailure(text: "could not find user '\(settings.user.lossyText)' to switch to")
            }
            guard result == 0 else {
                let reason = errorText(Int32(truncatingIfNeeded: -result)).lossyText
                throw StartFailure(text: "could not switch to user '\(settings.user.lossyText)': \(reason)")
            }
        }
        guard linux_effective_user() != 0 else {
            throw StartFailure(text: "PgBouncer should not run as root")
        }
        if !settings.asksPAM { _ = linux_forbid_privileges() }
        _ = linux_forbid_dumps()
    }

    static func openLog(_ settings: ProcessSettings, _ log: inout Log) throws(StartFailure) {
        log.format = settings.logFormat
        if settings.usesSyslog {
            log.useSyslog(ident: settings.syslogIdent, facility: settings.syslogFacility)
        }
        guard !settings.logFile.isEmpty else { return }
        let error = log.openFile(settings.logFile)
        guard error != 0 else { return }
        // Nobody would hear of it otherwise.
        log.onStandardError = true
        let reason = errorText(error).lossyText
        throw StartFailure(text: "Cannot open logfile: '\(settings.logFile.lossyText)': \(reason)")
    }

    /// Whether the kernel gives what the settings insist on.
    private static func checkRing(_ settings: ProcessSettings) throws(StartFailure) {
        guard settings.ring == .yes else { return }
        if settings.workers > 1 {
            throw StartFailure(text: "io_uring = yes is for workers = 1; with several, use auto or no")
        }
        let tried = KernelRing(wanted: true)
        guard tried.error != 0 else { return }
        throw StartFailure(
            text: "io_uring = yes, but the kernel gives none: \(errorText(tried.error).lossyText); "
                + "it takes Linux 6.1 or later and a container that allows it, or io_uring = auto")
    }

    private static func raiseFileLimit(_ settings: ProcessSettings, _ log: inout Log) {
        var soft: UInt64 = 0
        var hard: UInt64 = 0
        guard linux_raise_file_limit(&soft, &hard) == 0 else { return }
        log.write(
            .log,
            "kernel file descriptor limit: \(soft) (hard: \(hard)); "
                + "max_client_conn: \(settings.maximumClients), "
                + "max expected fd use: \(settings.expectedFiles)"
        )
    }

    private static func goIntoBackground(_ log: inout Log) throws(StartFailure) {
        let result = linux_daemonise()
        guard result == 0 else {
            throw StartFailure(
                text: "fork failed: \(errorText(Int32(truncatingIfNeeded: -result)).lossyText)")
        }
        log.onStandardError = false
        log.refreshProcessID()
    }

    private static var tlsVersion: String { String(cString: OpenSSL_version(OPENSSL_VERSION)) }

    private static func say(_ text: String, on descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        // A pipe may take less than everything.
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { linux_write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
