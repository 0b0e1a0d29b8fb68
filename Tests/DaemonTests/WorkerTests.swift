import CLinux
import Config
import Engine
import EventLoop
import Primitives
import Testing

@testable import Daemon

/// A worker over real sockets, driven turn by turn.
@Suite struct WorkerTests {
    /// The two ways to wait and to move bytes.
    private static let ways = [UseOfIOUring.no, .yes]

    private func worker(_ way: UseOfIOUring = .no) throws -> Worker<ScriptedEngine> {
        var settings = ProcessSettings()
        settings.ring = way
        let made = Worker(
            engine: ScriptedEngine(), settings: settings, log: Log(onStandardError: false),
            reload: { _ in .refused([]) })
        guard var made else { throw StartFailure(text: "no worker") }
        made.begin()
        return made
    }

    /// Where the kernel gives no ring there is nothing to test of it.
    private func turn(_ worker: inout Worker<ScriptedEngine>, _ longest: TimeSpan = .seconds(1)) {
        worker.turn(longest: longest)
        // What a turn has to say leaves with the next one.
        if worker.ring.isOn { worker.submit() }
    }

    /// A client of the worker's engine, and the other end of its socket.
    private func client(of worker: inout Worker<ScriptedEngine>) -> (link: LinkID, peer: Int32) {
        var ends: [Int32] = [0, 0]
        _ = linux_socket_pair(&ends)
        guard let id = worker.engine.clients.insert(0) else { return (LinkID(packed: 0), -1) }
        let place = worker.clients.settle(id.handle)
        place.pointee.descriptor = ends[0]
        _ = worker.watch(.client(id), place)
        return (.client(id), ends[1])
    }

    private func state(_ worker: borrowing Worker<ScriptedEngine>, _ link: LinkID) -> Connection? {
        worker.clients.find(link.handle)?.pointee
    }

    private func text(from peer: Int32, _ room: Int = 1 << 20) -> String {
        var bytes = [UInt8](repeating: 0, count: room)
        guard case .moved(let count) = Stream.receive(peer, into: &bytes, room) else { return "" }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    private func say(_ text: String, _ peer: Int32) {
        ByteString(text).withView { _ = Stream.send(peer, $0.rawBuffer.baseAddress!, $0.count) }
    }

    @Test(arguments: ways) func bytesAreRelayed(way: UseOfIOUring) throws {
        var worker = try worker(way)
        let (_, a) = client(of: &worker)
        let (other, b) = client(of: &worker)
        worker.engine.target = other
        say("hello", a)
        turn(&worker)
        #expect(text(from: b) == "hello")
        var notes = worker.engine.notes
        #expect(notes == ["received 5 used 5"])
        _ = linux_close(a)
        turn(&worker)
        notes = worker.engine.notes
        #expect(notes.last == "ended endOfFile")
        _ = linux_close(b)
    }

    @Test(arguments: ways) func whoWaitsForADescriptorGoesOnWhenOneIsClosed(way: UseOfIOUring) throws {
        var worker = try worker(way)
        let (_, a) = client(of: &worker)
        let later = worker.now + .seconds(3600)
        worker.listeners.pause(worker.poller, until: later)
        _ = linux_close(a)
        worker.turn(longest: .seconds(1))
        let resumeAt = worker.listeners.resumeAt
        #expect(resumeAt.map { $0 <= worker.now + .milliseconds(20) } ?? true)
    }

    @Test(arguments: ways) func whatIsLeftIsOfferedAgainWithMore(way: UseOfIOUring) throws {
        var worker = try worker(way)
        let (link, a) = client(of: &worker)
        worker.engine.target = link
        worker.engine.appetiteBytes = 2
        say("abcde", a)
        turn(&worker)
        var afterwards = state(worker, link)
        #expect(afterwards?.kept?.count == 3)
        worker.engine.appetiteBytes = .max
        say("fg", a)
        turn(&worker)
        #expect(text(from: a) == "abcdefg")
        afterwards = state(worker, link)
        #expect(afterwards?.kept == nil)
        _ = linux_close(a)
    }

    @Test(arguments: ways) func aMessageLargerThanTheSharedRoomIsGathered(way: UseOfIOUring) throws {
        var worker = try worker(way)
        let (link, a) = client(of: &worker)
        worker.engine.appetiteBytes = 0
        let part = String(repeating: "x", count: 10_000)
        for _ in 0..<30 {
            say(part, a)
            turn(&worker, .milliseconds(20))
        }
        for _ in 0..<10 { turn(&worker, .zero) }
        var afterwards = state(worker, link)
        #expect(afterwards?.kept?.count == 300_000)
        worker.engine.appetiteBytes = 299_990
        say("y", a)
        turn(&worker)
        afterwards = state(worker, link)
        #expect(afterwards?.kept?.count == 11)
        afterwards = state(worker, link)
        #expect(afterwards?.kept?.capacity == 1024)
        _ = linux_close(a)
    }

    @Test func pausedLinksAreReadNoMoreAndOfferedAgainWhenResumed() throws {
        var worker = try worker()
        let (link, a) = client(of: &worker)
        let (other, b) = client(of: &worker)
        worker.engine.target = other
        worker.engine.appetiteBytes = 0
        worker.engine.pausesAfterReceiving = true
        say("query", a)
        turn(&worker)
        say("more", a)
        turn(&worker)
        turn(&worker, .zero)
        var notes = worker.engine.notes
        #expect(notes == ["received 5 used 0"])
        let afterwards = state(worker, link)
        #expect(afterwards?.flags.contains(.disarmed) == true)
        worker.engine.appetiteBytes = .max
        worker.engine.pausesAfterReceiving = false
        worker.engine.orders = [.resumeReading(link)]
        worker.engine.deadline = .zero
        turn(&worker, .zero)
        notes = worker.engine.notes
        #expect(notes == ["received 5 used 0", "deadline", "received 5 used 5"])
        turn(&worker)
        notes = worker.engine.notes
        #expect(notes.last == "received 4 used 4")
        #expect(text(from: b) == "querymore")
        for end in [a, b] { _ = linux_close(end) }
    }

    @Test(arguments: ways) func aPausedClientThatVanishesIsNoticed(way: UseOfIOUring) throws {
        var worker = try worker(way)
        let (_, a) = client(of: &worker)
        worker.engine.pausesAfterReceiving = true
        say("x", a)
        turn(&worker)
        _ = linux_close(a)
        turn(&worker)
        let notes = worker.engine.notes
        #expect(notes.last == "ended endOfFile")
    }

    @Test(arguments: ways) func whatTheKernelDoesNotTakeIsQueuedAndDrained(way: UseOfIOUring) throws {
        var worker = try worker(way)
        let (_, a) = client(of: &worker)
        let (other, b) = client(of: &worker)
        worker.engine.target = other
        let part = String(repeating: "0123456789", count: 1_000)
        var sent = 0
        while !worker.engine.notes.contains("congested"), sent < 1_000 {
            say(part, a)
            turn(&worker)
            sent += 1
        }
        say("tail", a)
        turn(&worker)
        var received = ""
        for _ in 0..<2_000 where !worker.engine.notes.contains("drained") {
            received += text(from: b)
            turn(&worker, .milliseconds(1))
        }
        received += text(from: b)
        let notes = worker.engine.notes
        #expect(notes.filter { $0 == "congested" }.count == 1)
        #expect(received.utf8.count == sent * part.utf8.count + 4)
        #expect(received.hasSuffix("789tail"))
        let afterwards = state(worker, other)
        #expect(afterwards?.owed == nil)
        for end in [a, b] { _ = linux_close(end) }
    }

    @Test(arguments: ways) func closingDeliversWhatIsOwed(way: UseOfIOUring) throws {
        var worker = try worker(way)
        let (link, a) = client(of: &worker)
        worker.engine.target = link
        worker.engine.orders = [.close(link)]
        say("last words", a)
        turn(&worker)
        let afterwards = state(worker, link)
        #expect(afterwards == nil)
        #expect(text(from: a) == "last words")
        var room: [UInt8] = [0]
        #expect(Stream.receive(a, into: &room, 1) == .moved(0))
        _ = linux_close(a)
    }

    @Test(arguments: ways) func closingDeliversWhatTheKernelHasNotTakenYet(way: UseOfIOUring) throws {
        var worker = try worker(way)
        let (link, a) = client(of: &worker)
        worker.engine.target = link
        worker.engine.appetiteBytes = 0
        let part = String(repeating: "0123456789", count: 2_000)
        for _ in 0..<50 {
            say(part, a)
            turn(&worker, .milliseconds(20))
        }
        worker.engine.appetiteBytes = .max
        worker.engine.orders = [.close(link)]
        say("tail", a)
        for _ in 0..<100 where worker.lingering.count == 0 { turn(&worker, .milliseconds(5)) }
        var received = ""
        for _ in 0..<500 where !received.hasSuffix("tail") {
            received += text(from: a)
            turn(&worker, .milliseconds(1))
        }
        #expect(received.utf8.count == 50 * part.utf8.count + 4)
        _ = linux_close(a)
        for _ in 0..<100 where worker.lingering.count > 0 { turn(&worker, .milliseconds(20)) }
        let lingering = worker.lingering.count
        #expect(lingering == 0)
    }

    @Test func lingeringEndsInTimeWhenNobodyReads() throws {
        var worker = try worker()
        let (link, a) = client(of: &worker)
        worker.engine.orders = [.close(link)]
        worker.engine.deadline = .zero
        say("unread", a)
        // The order comes before the bytes are read: they are unread when the link is closed.
        let place = worker.clients.find(link.handle)
        place?.pointee.flags.insert(.paused)
        turn(&worker, .milliseconds(5))
        var lingering = worker.lingering.count
        #expect(lingering == 1)
        say(String(repeating: "x", count: 10_000), a)
        for _ in 0..<300 where worker.lingering.count > 0 { turn(&worker, .milliseconds(10)) }
        lingering = worker.lingering.count
        #expect(lingering == 0)
        _ = linux_close(a)
    }

    @Test(arguments: ways) func aBrokenLinkEndsAfterTheListIsDone(way: UseOfIOUring) throws {
        var worker = try worker(way)
        let (link, a) = client(of: &worker)
        let (_, b) = client(of: &worker)
        worker.engine.target = link
        _ = linux_close(a)
        say("x", b)
        for _ in 0..<3 { turn(&worker, .milliseconds(20)) }
        let notes = worker.engine.notes
        #expect(notes.filter { $0.hasPrefix("ended") }.count == 1)
        let afterwards = state(worker, link)
        #expect(afterwards == nil)
        _ = linux_close(b)
    }

    // MARK: With a ring

    @Test func aRingStopsReceivingFromAPausedLinkAndLosesNothing() throws {
        var worker = try worker(.yes)
        let (link, a) = client(of: &worker)
        let (other, b) = client(of: &worker)
        worker.engine.target = other
        worker.engine.appetiteBytes = 0
        worker.engine.pausesAfterReceiving = true
        say("query", a)
        turn(&worker)
        say("more", a)
        for _ in 0..<3 { turn(&worker, .milliseconds(20)) }
        var afterwards = state(worker, link)
        #expect(afterwards?.flags.contains(.disarmed) == true)
        #expect(afterwards?.flags.contains(.armed) == false)
        #expect(afterwards?.kept?.count == 9)
        // Nobody reads these from the socket before reading goes on.
        say("tail", a)
        for _ in 0..<3 { turn(&worker, .milliseconds(20)) }
        afterwards = state(worker, link)
        #expect(afterwards?.kept?.count == 9)
        worker.engine.appetiteBytes = .max
        worker.engine.pausesAfterReceiving = false
        worker.engine.orders = [.resumeReading(link)]
        worker.engine.deadline = .zero
        for _ in 0..<3 { turn(&worker, .milliseconds(20)) }
        #expect(text(from: b) == "querymoretail")
        afterwards = state(worker, link)
        #expect(afterwards?.flags.contains(.armed) == true)
        #expect(afterwards?.flags.contains(.watched) == false)
        for end in [a, b] { _ = linux_close(end) }
    }

    @Test func resumingBeforeTheRingHasStoppedReceivingLosesNothing() throws {
        var worker = try worker(.yes)
        let (link, a) = client(of: &worker)
        let (other, b) = client(of: &worker)
        worker.engine.target = other
        worker.engine.appetiteBytes = 0
        worker.engine.pausesAfterReceiving = true
        say("a", a)
        worker.turn(longest: .seconds(1))
        say("b", a)
        // The order to stop has been noted, and not left yet.
        worker.turn(longest: .seconds(1))
        worker.engine.appetiteBytes = .max
        worker.engine.pausesAfterReceiving = false
        worker.engine.orders = [.resumeReading(link)]
        worker.engine.deadline = .zero
        say("c", a)
        for _ in 0..<4 { turn(&worker, .milliseconds(20)) }
        say("d", a)
        for _ in 0..<2 { turn(&worker, .milliseconds(20)) }
        #expect(text(from: b) == "abcd")
        for end in [a, b] { _ = linux_close(end) }
    }

    @Test func shortSendsOfARingAreOwedInOrder() throws {
        var worker = try worker(.yes)
        let (_, a) = client(of: &worker)
        let (other, b) = client(of: &worker)
        worker.engine.target = other
        var said = ""
        var sent = 0
        while !worker.engine.notes.contains("congested"), sent < 10_000 {
            let part = String(repeating: "\(sent),", count: 200)
            say(part, a)
            worker.turn(longest: .seconds(1))
            said += part
            sent += 1
        }
        say("tail", a)
        turn(&worker)
        var received = ""
        for _ in 0..<2_000 where !worker.engine.notes.contains("drained") {
            received += text(from: b)
            turn(&worker, .milliseconds(1))
        }
        received += text(from: b)
        #expect(received == said + "tail")
        let afterwards = state(worker, other)
        #expect(afterwards?.owed == nil)
        for end in [a, b] { _ = linux_close(end) }
    }

    @Test func moreLinksThanBuffersAreServed() throws {
        var worker = try worker(.yes)
        var ends: [Int32] = []
        let (other, b) = client(of: &worker)
        worker.engine.target = other
        for _ in 0..<400 { ends.append(client(of: &worker).peer) }
        turn(&worker, .zero)
        for end in ends { say("x", end) }
        for _ in 0..<20 { turn(&worker, .milliseconds(5)) }
        #expect(text(from: b) == String(repeating: "x", count: 400))
        for end in ends { say("y", end) }
        for _ in 0..<20 { turn(&worker, .milliseconds(5)) }
        #expect(text(from: b) == String(repeating: "y", count: 400))
        for end in ends + [b] { _ = linux_close(end) }
    }

    @Test func bytesOfALinkThatDiedReachNobody() throws {
        var worker = try worker(.yes)
        let (link, a) = client(of: &worker)
        let (_, b) = client(of: &worker)
        worker.engine.orders = [.drop(link)]
        // Both are received in one wait, and the first one ends the second.
        say("ends it", b)
        say("late", a)
        for _ in 0..<3 { turn(&worker, .milliseconds(20)) }
        let notes = worker.engine.notes
        #expect(notes.filter { $0.hasPrefix("received") }.count <= 2)
        var room: [UInt8] = [0]
        #expect(Stream.receive(a, into: &room, 1) != .wouldBlock)
        for end in [a, b] { _ = linux_close(end) }
    }
}
