/** Words of the device, compare, events and model views. */
export default {};
