/** Words of the shell, overview, settings and actions, in Italian. */
export default {
};
