import CLinux
import EventLoop
import Primitives
import Testing

@Suite struct MailboxTests {
    @Test func messagesComeInTheOrderTheyWerePutIn() throws {
        let mailbox = try #require(Mailbox<Int>())
        #expect(mailbox.put([1, 2]) == 2)
        #expect(mailbox.put([3]) == 1)
        #expect(mailbox.take() == [1, 2, 3])
        #expect(mailbox.take() == [])
    }

    @Test func whatDoesNotFitIsNotTaken() throws {
        let mailbox = try #require(Mailbox<Int>())
        let many = Array(0..<(Mailbox<Int>.limit + 5))
        #expect(mailbox.put(many) == Mailbox<Int>.limit)
        #expect(mailbox.put([1]) == 0)
        #expect(mailbox.take() == Array(many.prefix(Mailbox<Int>.limit)))
        #expect(mailbox.put([1]) == 1)
    }

    @Test func theBellRingsUntilEverythingIsTaken() throws {
        let mailbox = try #require(Mailbox<Int>())
        guard let poller = Poller() else {
            Issue.record("the kernel gives no epoll set")
            return
        }
        poller.add(mailbox.descriptor, .readable, word: 7)
        #expect(poller.blockingWaitForWork(.zero) == 0)
        _ = mailbox.put([1])
        _ = mailbox.put([2])
        #expect(poller.blockingWaitForWork(.zero) == 1)
        _ = mailbox.take()
        #expect(poller.blockingWaitForWork(.zero) == 0)
    }

    /// Four threads put, one takes: nothing is lost, and each one's messages stay in order.
    @Test func threadsMayPutAtOnce() throws {
        let mailbox = try #require(Mailbox<Int>())
        let each = 5000
        let threads = try (0..<4).map { thread in
            try #require(
                WorkerThread(name: "putter") {
                    for number in 0..<each { while mailbox.put([thread * each + number]) == 0 {} }
                })
        }
        var heard: [[Int]] = [[], [], [], []]
        while heard.reduce(0, { $0 + $1.count }) < 4 * each {
            for message in mailbox.take() { heard[message / each].append(message % each) }
        }
        for thread in threads { thread.join() }
        #expect(heard.allSatisfy { $0 == Array(0..<each) })
    }
}
