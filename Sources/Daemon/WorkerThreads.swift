import Config
import Console
import Engine
import EventLoop
import Primitives

/// The workers beside the keeper: made by the main thread, each then driven by a thread of its own, which
/// shares nothing with any other but mailboxes.
struct WorkerThreads: ~Copyable {
    /// A worker on its way into its thread. Nobody touches it but that thread once it has started.
    private final class Place: @unchecked Sendable {
        var worker: Worker<Pooler>
        init(_ worker: consuming Worker<Pooler>) { self.worker = worker }
    }

    private var mailboxes: [Mailbox<Mail>] = []
    private var places: [Place] = []
    private var threads: [WorkerThread] = []

    /// Makes as many as the settings say, less the keeper.
    init(
        _ settings: ProcessSettings, _ snapshot: Snapshot, _ facts: ProcessFacts,
        instance: Switchboard.Instance, onStandardError: Bool
    ) throws(StartFailure) {
        guard settings.workers > 1 else { return }
        for _ in 0..<settings.workers {
            guard let mailbox = Mailbox<Mail>() else { throw StartFailure(text: "no mailbox for a worker") }
            mailboxes.append(mailbox)
        }
        let zone = SystemTime.zone()
        let clock = WallClock(
            startSeconds: facts.startSeconds, startInstant: facts.startInstant,
            zoneOffsetSeconds: zone.offsetSeconds, zoneName: zone.name)
        for index in 1..<settings.workers {
            let me = WorkerID(index: UInt8(index))
            var log = Log(onStandardError: onStandardError)
            try Program.openLog(settings, &log)
            let switchboard = Switchboard(
                snapshot: snapshot, process: facts, entropy: KernelEntropy(),
                crew: Crew(me: me, count: settings.workers), instance: instance, now: facts.startInstant)
            var settings = settings
            settings.security = Security(settings.security.current)
            let worker = Worker(
                engine: Pooler(
                    switchboard, clock: clock, preview: { _ in .success(snapshot) }, secure: { _ in nil }),
                settings: settings, log: log,
                office: PostOffice(me: me, mailboxes: mailboxes),
                // Only the keeper reads files; mates get what it has read by letter.
                reload: { _ in .refused([]) })
            guard let worker else { throw StartFailure(text: "dns setup failed") }
            places.append(Place(worker))
        }
    }

    /// `nil` when the keeper is alone.
    var keepersOffice: PostOffice? {
        mailboxes.isEmpty ? nil : PostOffice(me: .keeper, mailboxes: mailboxes)
    }

    mutating func start() throws(StartFailure) {
        for (index, place) in places.enumerated() {
            guard let thread = WorkerThread(name: "worker \(index + 1)", { place.worker.run() }) else {
                throw StartFailure(text: "no thread for a worker")
            }
            threads.append(thread)
        }
    }

    /// Ends them all, and waits until they have.
    func stop() {
        // A full mailbox takes it when its worker has read some of it.
        for mailbox in mailboxes.dropFirst() { while mailbox.put([.stop]) == 0 {} }
        for thread in threads { thread.join() }
    }
}
