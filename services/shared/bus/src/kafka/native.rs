//! The few things that librdkafka has and its Rust wrapper lacks, or does with a panic: a topic's id, the metadata of a committed
//! offset as bytes, a header by name, and whether a consumer is a member of its group.
//!
//! `unsafe` because each calls C. What makes it sound: every pointer is used while the value that owns it is borrowed, nothing is
//! kept, and what was created here is destroyed here. The contract tests run all of them against a broker.
#![allow(unsafe_code)]

use rdkafka::admin::AdminClient;
use rdkafka::bindings as sys;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::time::Duration;

/// A topic as `DescribeTopics` has it.
pub(super) struct Described {
    pub(super) partitions: usize,
    /// Topic id in base64, as Kafka's tools print it.
    pub(super) id: String,
}

/// Partition count and id of topics, in the order asked; `None` for those that don't exist.
pub(super) fn describe_topics<C: ClientContext>(
    admin: &AdminClient<C>,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<Option<Described>>, KafkaError> {
    let names: Vec<CString> = topics.iter().map(|topic| CString::new(*topic)).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let client = admin.inner().native_ptr();
    // SAFETY: `client` lives as long as `admin`; `pointers` and `names` live until the request is made, which copies the names;
    // options, collection, queue and event are destroyed once, after their last use; what the event owns is copied before.
    unsafe {
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let options = sys::rd_kafka_AdminOptions_new(
            client,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        let queue = sys::rd_kafka_queue_new(client);
        sys::rd_kafka_DescribeTopics(client, collection, options, queue);
        // The request itself ends after its time-out; a second more for the answer to travel through the queue.
        let event = sys::rd_kafka_queue_poll(queue, millis.saturating_add(1000));
        let answer = if event.is_null() {
            Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut))
        } else if sys::rd_kafka_event_error(event) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            Err(KafkaError::AdminOp(sys::rd_kafka_event_error(event).into()))
        } else {
            descriptions(event, topics.len())
        };
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(collection);
        answer
    }
}

/// # Safety
/// `event` is a `DescribeTopics` result without an error, alive during the call.
unsafe fn descriptions(
    event: *mut sys::rd_kafka_event_t,
    asked: usize,
) -> Result<Vec<Option<Described>>, KafkaError> {
    // SAFETY: by the caller's word; librdkafka gives an array of `count` valid pointers, each owned by the event.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if result.is_null() || count != asked {
            let words = format!("{count} descriptions for {asked} topics");
            return Err(KafkaError::AdminOpCreation(words));
        }
        let mut all = Vec::with_capacity(count);
        for i in 0..count {
            let topic = *topics.add(i);
            let error = sys::rd_kafka_TopicDescription_error(topic);
            match sys::rd_kafka_error_code(error) {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => {
                    all.push(None);
                    continue;
                }
                code => return Err(KafkaError::AdminOp(code.into())),
            }
            let mut partitions = 0;
            sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
            let id = text(sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(topic)));
            all.push(Some(Described { partitions, id }));
        }
        Ok(all)
    }
}

/// # Safety
/// `string` is null or a C string that lives during the call.
unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's word.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

/// Whether the broker has given this consumer a member id that it has not lost since.
pub(super) fn is_member<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> bool {
    let client = consumer.client().native_ptr();
    // SAFETY: `client` lives as long as `consumer`; the id is null or a C string of our own, freed once, by librdkafka that allocated it.
    unsafe {
        let id = sys::rd_kafka_memberid(client);
        let is_member = !id.is_null() && *id != 0;
        sys::rd_kafka_mem_free(client, id.cast());
        is_member
    }
}

/// Metadata of each element of a list, in its order. The wrapper panics where it is no UTF-8.
pub(super) fn metadata(list: &TopicPartitionList) -> Vec<String> {
    // SAFETY: the list is borrowed, `elems` has `cnt` elements, and each one's metadata is null or `metadata_size` bytes.
    unsafe {
        let native = &*list.ptr();
        let count = usize::try_from(native.cnt).unwrap_or(0);
        (0..count)
            .map(|i| {
                let element = &*native.elems.add(i);
                bytes(element.metadata.cast_const(), element.metadata_size)
                    .map_or_else(String::new, |bytes| String::from_utf8_lossy(bytes).into_owned())
            })
            .collect()
    }
}

/// The last header named `name`. The wrapper panics where any header's name is no UTF-8.
pub(crate) fn header<'m>(message: &'m BorrowedMessage<'_>, name: &str) -> Option<&'m [u8]> {
    let name = CString::new(name).ok()?;
    // SAFETY: the message is borrowed for as long as the bytes that are returned, which it owns.
    unsafe {
        let mut headers = ptr::null_mut();
        let (mut value, mut size) = (ptr::null::<c_void>(), 0);
        let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        if sys::rd_kafka_message_headers(message.ptr(), &mut headers) != none
            || sys::rd_kafka_header_get_last(headers, name.as_ptr(), &mut value, &mut size) != none
        {
            return None;
        }
        bytes(value, size)
    }
}

/// # Safety
/// `start` is null or `size` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: by the caller's word.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), size) })
}
