import CLinux
import Engine
import EventLoop
import Primitives
import Testing

@testable import Daemon

/// A worker over real sockets, driven turn by turn.
@Suite struct WorkerTests {
    private func worker() throws -> Worker<ScriptedEngine> {
        let made = Worker(
            engine: ScriptedEngine(), settings: ProcessSettings(), log: Log(onStandardError: false),
            reload: { _ in .refused([]) })
        guard let made else { throw StartFailure(text: "no worker") }
        return made
    }

    /// A client of the worker's engine, and the other end of its socket.
    private func client(of worker: inout Worker<ScriptedEngine>) -> (link: LinkID, peer: Int32) {
        var ends: [Int32] = [0, 0]
        _ = linux_socket_pair(&ends)
        guard let id = worker.engine.clients.insert(0) else { return (LinkID(packed: 0), -1) }
        let place = worker.clients.settle(id.handle)
        place.pointee.descriptor = ends[0]
        worker.poller.add(ends[0], place.pointee.interest, word: LinkID.client(id).packed)
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

    @Test func bytesAreRelayed() throws {
        var worker = try worker()
        let (_, a) = client(of: &worker)
        let (other, b) = client(of: &worker)
        worker.engine.target = other
        say("hello", a)
        worker.turn(longest: .seconds(1))
        #expect(text(from: b) == "hello")
        var notes = worker.engine.notes
        #expect(notes == ["received 5 used 5"])
        _ = linux_close(a)
        worker.turn(longest: .seconds(1))
        notes = worker.engine.notes
        #expect(notes.last == "ended endOfFile")
        _ = linux_close(b)
    }

    @Test func whoWaitsForADescriptorGoesOnWhenOneIsClosed() throws {
        var worker = try worker()
        let (_, a) = client(of: &worker)
        let later = worker.now + .seconds(3600)
        worker.listeners.pause(worker.poller, until: later)
        _ = linux_close(a)
        worker.turn(longest: .seconds(1))
        let resumeAt = worker.listeners.resumeAt
        #expect(resumeAt.map { $0 <= worker.now + .milliseconds(20) } ?? true)
    }

    @Test func whatIsLeftIsOfferedAgainWithMore() throws {
        var worker = try worker()
        let (link, a) = client(of: &worker)
        worker.engine.target = link
        worker.engine.appetiteBytes = 2
        say("abcde", a)
        worker.turn(longest: .seconds(1))
        var afterwards = state(worker, link)
        #expect(afterwards?.kept?.count == 3)
        worker.engine.appetiteBytes = .max
        say("fg", a)
        worker.turn(longest: .seconds(1))
        #expect(text(from: a) == "abcdefg")
        afterwards = state(worker, link)
        #expect(afterwards?.kept == nil)
        _ = linux_close(a)
    }

    @Test func aMessageLargerThanTheSharedRoomIsGathered() throws {
        var worker = try worker()
        let (link, a) = client(of: &worker)
        worker.engine.appetiteBytes = 0
        let part = String(repeating: "x", count: 10_000)
        for _ in 0..<30 {
            say(part, a)
            worker.turn(longest: .milliseconds(20))
        }
        for _ in 0..<10 { worker.turn(longest: .zero) }
        var afterwards = state(worker, link)
        #expect(afterwards?.kept?.count == 300_000)
        worker.engine.appetiteBytes = 299_990
        say("y", a)
        worker.turn(longest: .seconds(1))
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
        worker.turn(longest: .seconds(1))
        say("more", a)
        worker.turn(longest: .seconds(1))
        worker.turn(longest: .zero)
        var notes = worker.engine.notes
        #expect(notes == ["received 5 used 0"])
        let afterwards = state(worker, link)
        #expect(afterwards?.flags.contains(.disarmed) == true)
        worker.engine.appetiteBytes = .max
        worker.engine.pausesAfterReceiving = false
        worker.engine.orders = [.resumeReading(link)]
        worker.engine.deadline = .zero
        worker.turn(longest: .zero)
        notes = worker.engine.notes
        #expect(notes == ["received 5 used 0", "deadline", "received 5 used 5"])
        worker.turn(longest: .seconds(1))
        notes = worker.engine.notes
        #expect(notes.last == "received 4 used 4")
        #expect(text(from: b) == "querymore")
        for end in [a, b] { _ = linux_close(end) }
    }

    @Test func aPausedClientThatVanishesIsNoticed() throws {
        var worker = try worker()
        let (_, a) = client(of: &worker)
        worker.engine.pausesAfterReceiving = true
        say("x", a)
        worker.turn(longest: .seconds(1))
        _ = linux_close(a)
        worker.turn(longest: .seconds(1))
        let notes = worker.engine.notes
        #expect(notes.last == "ended endOfFile")
    }

    @Test func whatTheKernelDoesNotTakeIsQueuedAndDrained() throws {
        var worker = try worker()
        let (_, a) = client(of: &worker)
        let (other, b) = client(of: &worker)
        worker.engine.target = other
        let part = String(repeating: "0123456789", count: 1_000)
        var sent = 0
        while !worker.engine.notes.contains("congested"), sent < 1_000 {
            say(part, a)
            worker.turn(longest: .seconds(1))
            sent += 1
        }
        say("tail", a)
        worker.turn(longest: .seconds(1))
        var received = ""
        for _ in 0..<2_000 where !worker.engine.notes.contains("drained") {
            received += text(from: b)
            worker.turn(longest: .milliseconds(1))
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

    @Test func closingDeliversWhatIsOwed() throws {
        var worker = try worker()
        let (link, a) = client(of: &worker)
        worker.engine.target = link
        worker.engine.orders = [.close(link)]
        say("last words", a)
        worker.turn(longest: .seconds(1))
        let afterwards = state(worker, link)
        #expect(afterwards == nil)
        #expect(text(from: a) == "last words")
        var room: [UInt8] = [0]
        #expect(Stream.receive(a, into: &room, 1) == .moved(0))
        _ = linux_close(a)
    }

    @Test func closingDeliversWhatTheKernelHasNotTakenYet() throws {
        var worker = try worker()
        let (link, a) = client(of: &worker)
        worker.engine.target = link
        worker.engine.appetiteBytes = 0
        let part = String(repeating: "0123456789", count: 2_000)
        for _ in 0..<50 {
            say(part, a)
            worker.turn(longest: .milliseconds(20))
        }
        worker.engine.appetiteBytes = .max
        worker.engine.orders = [.close(link)]
        say("tail", a)
        for _ in 0..<100 where worker.lingering.count == 0 { worker.turn(longest: .milliseconds(5)) }
        var received = ""
        for _ in 0..<500 where !received.hasSuffix("tail") {
            received += text(from: a)
            worker.turn(longest: .milliseconds(1))
        }
        #expect(received.utf8.count == 50 * part.utf8.count + 4)
        _ = linux_close(a)
        for _ in 0..<100 where worker.lingering.count > 0 { worker.turn(longest: .milliseconds(20)) }
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
        worker.turn(longest: .milliseconds(5))
        var lingering = worker.lingering.count
        #expect(lingering == 1)
        say(String(repeating: "x", count: 10_000), a)
        for _ in 0..<300 where worker.lingering.count > 0 { worker.turn(longest: .milliseconds(10)) }
        lingering = worker.lingering.count
        #expect(lingering == 0)
        _ = linux_close(a)
    }

    @Test func aBrokenLinkEndsAfterTheListIsDone() throws {
        var worker = try worker()
        let (link, a) = client(of: &worker)
        let (_, b) = client(of: &worker)
        worker.engine.target = link
        _ = linux_close(a)
        say("x", b)
        for _ in 0..<3 { worker.turn(longest: .milliseconds(20)) }
        let notes = worker.engine.notes
        #expect(notes.filter { $0.hasPrefix("ended") }.count == 1)
        let afterwards = state(worker, link)
        #expect(afterwards == nil)
        _ = linux_close(b)
    }
}
